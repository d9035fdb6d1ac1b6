#!/usr/bin/env python3
"""Checks what the compiler and clang-format cannot: the rules of docs/architecture.md and CONTRIBUTING.md.

    tools/check_style.py [ROOT]

One line a finding, `file:line: message`. Exit code 1 when there is an error; warnings alone leave it at 0.
"""
import pathlib
import re
import sys

# The layout of src/: a folder includes only folders to its left, and itself. "tokenizers" are the files
# models/*/tokenizer.* and models/tokens/*, which stand beside the models but do without libtorch.
ORDER = ["base", "io", "http", "tokenizers", "dist", "nn", "models", "adapters", "diffusion", "edit", "server", "data",
         "train", "eval", "cli", "main"]
RANK = {folder: rank for rank, folder in enumerate(ORDER)}

# Our headers are read by everybody, so they stay cheap: the standard library, our own headers, and base/tensor.h.
STD_HEADERS = set("""
algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv chrono cinttypes climits
clocale cmath compare complex concepts condition_variable coroutine csetjmp csignal cstdarg cstddef cstdint cstdio
cstdlib cstring ctime cuchar cwchar cwctype deque exception execution filesystem format forward_list fstream
functional future initializer_list iomanip ios iosfwd iostream istream iterator latch limits list locale map memory
memory_resource mutex new numbers numeric optional ostream queue random ranges ratio regex scoped_allocator
semaphore set shared_mutex source_location span sstream stack stdexcept stop_token streambuf string string_view
strstream syncstream system_error thread tuple type_traits typeindex typeinfo unordered_map unordered_set utility
valarray variant vector version""".split())
BF16, AMX = "src/nn/bf16_tiles.h", "src/nn/kernels/amx.h"  # code that their .cpp files must have inlined
HEADER_EXCEPTIONS = {("src/base/tensor.h", "ATen/core/Tensor.h"), (BF16, "ATen/ATen.h"), (BF16, "ATen/native/CPUBlas.h"),
                     (BF16, "immintrin.h"), (AMX, "immintrin.h"), ("src/io/json.h", "nlohmann/json_fwd.hpp")} | {
                         ("src/http/connection.h", f"boost/asio/{part}.hpp")  # the seam of its .cpp files
                         for part in ("awaitable", "io_context", "ip/tcp", "redirect_error", "ssl/context", "steady_timer",
                                      "thread_pool", "use_awaitable")} | {
                         ("src/http/wire.h", f"boost/{part}.hpp") for part in ("asio/ssl/stream", "beast/core/basic_stream")}

# Lines: (a lot, too many).
SIZES = {"src": (250, 400), "tests": (None, 600), "tools": (None, 600), "bench": (None, 600)}
NOT_NAMES = {"util", "utils", "utility", "utilities", "common", "helper", "helpers", "misc"}
SKIPPED = {"goldens"}  # made by the Python that is the reference, kept as it was when it made the data

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
NAMESPACE = re.compile(r"\s*(?:inline\s+)?namespace\s+([\w:]+)\s*\{")


class Report:
    def __init__(self, root):
        self.root, self.errors, self.warnings = root, 0, 0

    def error(self, path, line, message):
        self.errors += 1
        print(f"{path.relative_to(self.root)}:{line}: {message}")

    def warn(self, path, line, message):
        self.warnings += 1
        print(f"{path.relative_to(self.root)}:{line}: warning: {message}")


def files_of(root, folder, suffixes):
    base = root / folder
    found = (p for p in base.rglob("*") if p.is_file() and p.suffix in suffixes)
    return sorted(p for p in found if not SKIPPED & set(p.relative_to(base).parts))


def folder_of(path):
    """The layout's name for a path below src/ ("models/t5/tokenizer.h" -> "tokenizers")."""
    parts = pathlib.PurePosixPath(path).parts
    if len(parts) == 1:
        return pathlib.PurePosixPath(path).stem
    if parts[0] == "models" and (parts[1] == "tokens" or parts[-1].startswith("tokenizer.")):
        return "tokenizers"
    return parts[0]


def check_layout(root, report):
    for folder in sorted(p for p in (root / "src").iterdir() if p.is_dir()):
        if folder.name not in RANK:
            report.error(folder, 1, f"src/{folder.name} has no place in the layout: give it one in ORDER of "
                         "tools/check_style.py, and in src/CMakeLists.txt and README.md")


def check_includes(root, path, lines, report):
    here = folder_of(path.relative_to(root / "src").as_posix())
    is_header = path.suffix == ".h"
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        bracket, name = match.groups()
        if bracket == "<":
            if (root / "src" / name).exists():
                report.error(path, number, f'own headers are included in quotes: #include "{name}"')
            elif is_header and name not in STD_HEADERS and (
                    path.relative_to(root).as_posix(), name) not in HEADER_EXCEPTIONS:
                report.error(path, number, f"<{name}> in a header: our headers include only the standard library, "
                             "our own headers and base/tensor.h; move it to the .cpp file")
            continue
        there = folder_of(name)
        if "/" not in name or there not in RANK:
            report.error(path, number, f'"{name}": own headers are included by their path from src/ '
                         '("io/image.h"), others in <>')
        elif here in RANK and RANK[there] > RANK[here]:
            report.error(path, number, f'{here} includes "{name}", but {there} is above it ({" < ".join(ORDER)})')


def check_file(root, path, report):
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    top = path.relative_to(root).parts[0]
    much, limit = SIZES[top]
    if len(lines) > limit:
        report.error(path, len(lines), f"{len(lines)} lines; at most {limit} in {top}/. Which part is a file of its own?")
    elif much and len(lines) > much:
        report.warn(path, len(lines), f"{len(lines)} lines; more than {much} is a lot")
    if path.suffix == ".h" and not any(line.strip() == "#pragma once" for line in lines):
        report.error(path, 1, "a header begins with #pragma once")
    for number, line in enumerate(lines, 1):
        match = NAMESPACE.match(line)
        if match and NOT_NAMES & set(match.group(1).split("::")):
            report.error(path, number, f"namespace {match.group(1)} says nothing; name what is in it")
    if top == "src":
        check_includes(root, path, lines, report)


def check_name(root, path, report):
    for part in path.relative_to(root).parts:
        words = set(part.split(".")[0].lower().replace("-", "_").split("_"))
        if NOT_NAMES & words:
            report.error(path, 1, f"'{part}' says nothing about what is in it; name it after that")
            return


def tree_paths(lines):
    """(line, path) of the folders in README's fenced tree that has src/ in it.

    Understands indentation and box-drawing characters; a file or folder name is the first word of its line."""
    found, block, fenced = [], [], False
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("```"):
            if fenced and any(re.match(r"[\s│├└─|`+-]*src/", text) for _, text in block):
                break
            fenced, block = not fenced, []
        elif fenced:
            block.append((number, line))
    else:
        return None
    above = []  # (indentation, path) of the folders that the current line may be in
    for number, line in block:
        match = re.match(r"([\s│├└─|`+-]*)([\w./-]+)", line)
        if not match:
            continue
        indent, name = len(match.group(1)), match.group(2)
        if "/" not in name:
            continue
        while above and above[-1][0] >= indent:
            above.pop()
        path = (above[-1][1] if above else "") + name
        folder = path[:path.rfind("/") + 1]
        above.append((indent, folder))
        if path.endswith("/"):
            found.append((number, path.rstrip("/")))
        elif "/" in path:
            found.append((number, path))
    return found


def check_readme(root, report):
    readme = root / "README.md"
    if not readme.exists():
        print("check_style: README.md is not there yet, so its tree is not checked")
        return
    tree = tree_paths(readme.read_text(encoding="utf-8").splitlines())
    if tree is None:
        report.error(readme, 1, "no fenced tree of src/ (a ``` block with a line that begins with src/)")
        return
    for number, path in tree:
        if not (root / path).exists():
            report.error(readme, number, f"the tree names {path}, which does not exist")
    named = {path for _, path in tree}
    for folder in sorted(p for p in (root / "src").iterdir() if p.is_dir() and any(p.rglob("*.cpp"))):
        if f"src/{folder.name}" not in named:
            report.error(readme, tree[0][0] if tree else 1, f"src/{folder.name}/ is missing from the tree")


def check(root):
    report = Report(root)
    check_layout(root, report)
    for folder in SIZES:
        for path in files_of(root, folder, {".h", ".cpp", ".py", ".sh", ".cu"}):
            check_name(root, path, report)
            check_file(root, path, report)
    for folder in ("cmake", "scripts"):
        for path in files_of(root, folder, {".cmake", ".sh", ".py"}):
            check_name(root, path, report)
    check_readme(root, report)
    return report


def main(arguments):
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        print(__doc__.strip())
        return 0 if arguments[0] in ("-h", "--help") else 2
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent).resolve()
    if not (root / "src").is_dir():
        print(f"check_style: {root} has no src folder; give the root of the repository")
        return 2
    report = check(root)
    print(f"check_style: {report.errors} errors, {report.warnings} warnings")
    return 1 if report.errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
