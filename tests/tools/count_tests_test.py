"""scripts/count_tests.py counts every test of a GoogleTest binary, whatever way the binary ends."""
import contextlib
import importlib.util
import io
import pathlib
import tempfile
import unittest
import xml.sax.saxutils

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "count_tests.py"
SPEC = importlib.util.spec_from_file_location("count_tests", SCRIPT)
count_tests = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(count_tests)

START = "[==========] Running 3 tests from 2 test suites.\n[----------] 2 tests from A\n"
PASSED = "[ RUN      ] A.One\n[       OK ] A.One (0 ms)\n"
SKIPPED = "[ RUN      ] B/C.Two/0\nno AVX-512\n[  SKIPPED ] B/C.Two/0 (1 ms)\n"
FAILED = "[ RUN      ] A.Three/1\nwrong\n[  FAILED  ] A.Three/1, where GetParam() = (1 ms) (12 ms)\n"


class CountTests(unittest.TestCase):
    def count(self, *cases):
        """(passed, failed, skipped), the failed ones' names, self.skipped; a case: (name, status, output)."""
        text = "<testsuite>"
        for name, status, output in cases:
            text += f'<testcase name="{name}" status="{status}"><system-out>'
            text += xml.sax.saxutils.escape(output) + "</system-out></testcase>"
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "junit.xml"
            path.write_text(text + "</testsuite>")
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                count_tests.main(path)
        lines = printed.getvalue().splitlines()
        self.skipped = [line[len("skipped "):] for line in lines[1:] if line.startswith("skipped ")]
        failed = [line[len("failed "):] for line in lines[1:] if line.startswith("failed ")]
        self.assertEqual(len(lines), 1 + len(failed) + len(self.skipped))
        return tuple(map(int, lines[0].split())), failed

    def test_one_by_one(self):
        end = "[  PASSED  ] 1 test.\n[  SKIPPED ] 1 test, listed below:\n[  SKIPPED ] B/C.Two/0\n" \
              "[  FAILED  ] 1 test, listed below:\n[  FAILED  ] A.Three/1, where GetParam() = (1 ms)\n"
        self.assertEqual(self.count(("io", "fail", START + PASSED + SKIPPED + FAILED + end)),
                         ((1, 1, 1), ["io/A.Three/1"]))
        self.assertEqual(self.skipped, ["io/B/C.Two/0"])

    def test_several_entries_and_programs_of_another_kind(self):
        whole = START.replace("3", "1") + "progress" + PASSED + "  YOU HAVE 2 DISABLED TESTS\n"
        self.assertEqual(self.count(("io", "run", whole), ("nn", "run", whole), ("tools/x", "run", "Ran 5 tests")),
                         ((3, 0, 4), []))
        self.assertEqual(self.skipped, 2 * ["io: a disabled test"] + 2 * ["nn: a disabled test"])
        self.assertEqual(self.count(("tools/x", "fail", "")), ((0, 1, 0), ["tools/x"]))
        self.assertEqual(self.count(("cli", "notrun", "Unable to find executable")), ((0, 1, 0), ["cli"]))

    def test_a_crash_names_the_test_and_counts_the_rest(self):
        counts, names = self.count(("io", "fail", START + PASSED + "[ RUN      ] A.Three\nSegmentation fault"))
        self.assertEqual(counts, (1, 2, 0))
        self.assertEqual(names, ["io/A.Three (ended the program)", "io: a test that was not run"])

    def test_failing_after_the_tests(self):
        whole = START.replace("3", "1") + PASSED
        self.assertEqual(self.count(("io", "fail", whole + "LeakSanitizer")), ((1, 1, 0), ["io: failed after its tests"]))

    def test_output_that_was_cut_off_is_no_success(self):
        self.assertEqual(self.count(("io", "run", START + PASSED))[0], (1, 3, 0))


if __name__ == "__main__":
    unittest.main()
