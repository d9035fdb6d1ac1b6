"""tools/check_style.py finds what it is there to find, and nothing in a tree that keeps the rules."""
import contextlib
import importlib.util
import io
import pathlib
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools" / "check_style.py"
SPEC = importlib.util.spec_from_file_location("check_style", SCRIPT)
check_style = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check_style)

GOOD = {
    "src/base/tensor.h": "#pragma once\n#include <ATen/core/Tensor.h>\n",
    "src/io/image.h": '#pragma once\n#include <string>\n#include "base/tensor.h"\n',
    "src/io/image.cpp": '#include "io/image.h"\n#include <png.h>\n',
    "src/models/tokens/bpe.h": '#pragma once\n#include "io/image.h"\n',
    "src/models/t5/tokenizer.h": '#pragma once\n#include "models/tokens/bpe.h"\n',
    "src/models/t5/encoder.cpp": '#include "models/t5/tokenizer.h"\n',
    "README.md": "# x\n```\nmake\n```\n```\nsrc/main.cpp   starts\n    models/  t5/ and so on\n    io/      files\n"
                 "    base/    errors\n```\n",
    "src/main.cpp": '#include "io/image.h"\n',
}


class CheckStyle(unittest.TestCase):
    def findings(self, changes):
        """What is printed for the good tree with these files changed (None: removed)."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder).resolve()
            for name, text in {**GOOD, **changes}.items():
                if text is not None:
                    (root / name).parent.mkdir(parents=True, exist_ok=True)
                    (root / name).write_text(text, encoding="utf-8")
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                status = check_style.main([str(root)])
            lines = output.getvalue().splitlines()
            self.assertEqual(status, 0 if lines[-1].startswith("check_style: 0 errors") else 1)
            return lines[:-1]

    def assert_one(self, changes, start, part):
        lines = self.findings(changes)
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith(start), lines[0])
        self.assertIn(part, lines[0])

    def test_good_tree(self):
        self.assertEqual(self.findings({}), [])

    def test_include_direction(self):
        self.assert_one({"src/io/image.cpp": '#include <vector>\n#include "models/t5/encoder.h"\n'},
                        "src/io/image.cpp:2: ", "models is above it")
        self.assert_one({"src/models/t5/tokenizer.cpp": '#include "models/t5/encoder.h"\n'},
                        "src/models/t5/tokenizer.cpp:1: ", "tokenizers includes")

    def test_header_bans(self):
        for name in ("ATen/ATen.h", "torch/torch.h", "nlohmann/json.hpp", "arrow/api.h", "sys/mman.h"):
            self.assert_one({"src/io/image.h": f"#pragma once\n#include <{name}>\n"}, "src/io/image.h:2: ",
                            f"<{name}> in a header")
        self.assert_one({"src/io/other.h": "#pragma once\n#include <ATen/core/Tensor.h>\n"}, "src/io/other.h:2: ",
                        "in a header")

    def test_own_headers_by_path_and_in_quotes(self):
        self.assert_one({"src/io/image.cpp": '#include "image.h"\n'}, "src/io/image.cpp:1: ", "path from src/")
        self.assert_one({"src/io/image.cpp": "#include <io/image.h>\n"}, "src/io/image.cpp:1: ", "in quotes")

    def test_pragma_once(self):
        self.assert_one({"src/io/bare.h": "#include <string>\n"}, "src/io/bare.h:1: ", "#pragma once")

    def test_sizes(self):
        self.assertEqual(self.findings({"src/io/image.cpp": "\n" * 250, "tests/io/a.cpp": "\n" * 600}), [])
        self.assert_one({"src/io/image.cpp": "\n" * 251}, "src/io/image.cpp:251: warning: ", "is a lot")
        self.assert_one({"src/io/image.cpp": "\n" * 401}, "src/io/image.cpp:401: ", "at most 400")
        self.assert_one({"tests/io/image.cpp": "\n" * 601}, "tests/io/image.cpp:601: ", "at most 600")
        self.assertEqual(self.findings({"tests/goldens/make/common.py": "\n" * 700}), [])

    def test_names(self):
        self.assert_one({"src/io/util.cpp": "\n"}, "src/io/util.cpp:1: ", "'util.cpp'")
        self.assert_one({"tests/io/image_helpers.cpp": "\n"}, "tests/io/image_helpers.cpp:1: ", "'image_helpers.cpp'")
        self.assert_one({"src/io/image.cpp": "\nnamespace icedit::util {\n"}, "src/io/image.cpp:2: ", "namespace")

    def test_unknown_folder(self):
        lines = self.findings({"src/extra/a.cpp": "\n"})
        self.assertEqual(len(lines), 2, lines)
        self.assertIn("no place in the layout", lines[0])
        self.assertIn("src/extra/ is missing from the tree", lines[1])

    def test_readme_tree(self):
        readme = GOOD["README.md"]
        self.assert_one({"README.md": readme.replace("    io/      files\n", "")}, "README.md:", "src/io/ is missing")
        self.assert_one({"README.md": readme.replace("    io/", "    nn/      x\n    io/")}, "README.md:8: ", "src/nn")
        self.assert_one({"README.md": "# x\n"}, "README.md:1: ", "no fenced tree")
        boxes = "```\n.\n├── src/\n│   ├── base/   errors\n│   ├── io/\n│   ├── models/\n│   │   └── t5/\n└── tests/\n```\n"
        self.assert_one({"README.md": boxes}, "README.md:8: ", "names tests")
        self.assert_one({"README.md": None}, "check_style: README.md is not there yet", "")


if __name__ == "__main__":
    unittest.main()
