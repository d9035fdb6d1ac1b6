"""tests/goldens is whole: manifest.json lists exactly the files that are there, and the tensors that are in them."""
import json
import pathlib
import re
import struct
import unittest

GOLDENS = pathlib.Path(__file__).resolve().parents[1] / "goldens"
DATA = GOLDENS / "data"
BOOKS = {"manifest.json", "tolerance.json"}
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
          "U8": "uint8", "I8": "int8", "BOOL": "bool", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}


def header(path):
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(size))


class Goldens(unittest.TestCase):
    def setUp(self):
        self.manifest = json.loads((DATA / "manifest.json").read_text())

    def test_every_file_is_listed(self):
        files = {p.relative_to(DATA).as_posix() for p in DATA.rglob("*") if p.is_file()}
        self.assertEqual(sorted(files - BOOKS - set(self.manifest)), [], "not in manifest.json")
        self.assertEqual(sorted(set(self.manifest) - files), [], "in manifest.json, but not there")

    def test_every_generator_is_there(self):
        scripts = {entry["script"] for entry in self.manifest.values()}
        self.assertEqual(sorted(s for s in scripts if not (GOLDENS / "make" / s).exists()), [])

    def test_tensors_are_as_listed(self):
        for name, entry in self.manifest.items():
            if not name.endswith(".safetensors"):
                continue
            tensors = header(DATA / name)
            for tensor, (shape, dtype) in entry["tensors"].items():
                if tensor.startswith("("):  # "(126 tensors)": not listed one by one
                    self.assertEqual(int(tensor.split()[0][1:]), len(tensors.keys() - {"__metadata__"}), name)
                    continue
                if tensor not in tensors:
                    continue  # listed by its pattern, as transformer.MODULE.lora_A.weight
                self.assertEqual(tensors[tensor]["shape"], shape, (name, tensor))
                self.assertEqual(DTYPES[tensors[tensor]["dtype"]], dtype, (name, tensor))

    def test_no_paths_of_the_machine_that_made_them(self):
        path = re.compile(rb"[^\w.](/(?:tmp|root|home|Users|mnt|opt)/\w[\w./-]{3,})")
        for file in sorted(p for p in GOLDENS.rglob("*") if p.is_file()):
            self.assertIsNone(path.search(file.read_bytes()), file)


if __name__ == "__main__":
    unittest.main()
