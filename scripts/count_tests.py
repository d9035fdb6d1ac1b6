#!/usr/bin/env python3
"""Counts tests in what ctest --output-junit wrote, one by one, although ctest runs a whole GoogleTest binary as one.

    scripts/count_tests.py JUNIT

Prints 'passed failed skipped', then a line 'failed NAME' or 'skipped NAME' for each of these. The lines that GoogleTest prints are counted,
since a binary that crashes writes nothing else: the test that it was in and those that it did not come to have failed.
ctest must not cut the output off (--test-output-size-passed, --test-output-size-failed).
"""
import re
import sys
import xml.etree.ElementTree as xml

PLANNED = re.compile(r"\[==========\] Running (\d+) tests? from ")
DISABLED = re.compile(r"^ +YOU HAVE (\d+) DISABLED TEST", re.M)
BEGUN = re.compile(r"\[ RUN      \] (\S+)")
# With a time at the end: the list at the end of the run has the same names without.
ENDED = re.compile(r"\[ *(OK|FAILED|SKIPPED) *\] ([^\s,]+)(?:, where .*)? \(\d+ ms\)")


def count_gtest(name, output, succeeded):
    """Of one binary: how many passed, the names of those that failed, and of those that were skipped."""
    results = {test: result for result, test in ENDED.findall(output)}
    values = list(results.values())
    cut_short = [test for test in BEGUN.findall(output) if test not in results]
    failed = [f"{name}/{test}" for test, result in results.items() if result == "FAILED"]
    failed += [f"{name}/{test} (ended the program)" for test in cut_short]
    planned = int(PLANNED.search(output)[1])
    failed += [f"{name}: a test that was not run"] * (planned - len(values) - len(cut_short))
    if failed and succeeded:
        failed.append(f"{name}: tests failed, but the program did not")
    if not failed and not succeeded:
        failed.append(f"{name}: failed after its tests")
    skipped = [f"{name}/{test}" for test, result in results.items() if result == "SKIPPED"]
    disabled = DISABLED.search(output)
    skipped += [f"{name}: a disabled test"] * int(disabled[1] if disabled else 0)
    return values.count("OK"), failed, skipped


def count_case(case):
    name, status = case.get("name"), case.get("status")
    output = case.findtext("system-out") or ""
    if PLANNED.search(output):
        return count_gtest(name, output, status == "run")
    return (1, [], []) if status == "run" else (0, [name], [])


def main(junit):
    counts = [count_case(case) for case in xml.parse(junit).getroot().iter("testcase")]
    failed = [name for _, names, _ in counts for name in names]
    skipped = [name for _, _, names in counts for name in names]
    print(sum(c[0] for c in counts), len(failed), len(skipped))
    for kind, names in (("failed", failed), ("skipped", skipped)):
        for name in names:
            print(kind, name)


if __name__ == "__main__":
    main(sys.argv[1])
