"""deploy/icedit.service is what systemd understands, and as closed as it says. nginx.conf: proxy_test.py."""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from serve_program import ROOT


@unittest.skipUnless(shutil.which("systemd-analyze"), "there is no systemd-analyze")
class Unit(unittest.TestCase):
    def analyze(self, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            unit = pathlib.Path(folder) / "icedit.service"
            unit.write_text((ROOT / "deploy/icedit.service").read_text().replace("/usr/bin/icedit", "/bin/true"))
            return subprocess.run(["systemd-analyze", *arguments, str(unit)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def test_it_is_clean(self):
        run = self.analyze("verify", "--man=no")
        self.assertEqual((run.returncode, run.stdout), (0, ""))

    def test_its_exposure_is_below_3(self):
        run = self.analyze("security", "--offline=true", "--threshold=29")
        self.assertEqual(run.returncode, 0, run.stdout)


if __name__ == "__main__":
    unittest.main()
