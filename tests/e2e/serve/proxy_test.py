"""Two replicas behind Debian's nginx, configured by deploy/nginx.conf: balanced, jobs found again, one that dies or drains."""
import concurrent.futures
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from serve_program import ROOT, Answer, Server, asset, edited, multipart


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """deploy/nginx.conf with these replicas' ports."""

    def __init__(self, a, b):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        site = (ROOT / "deploy/nginx.conf").read_text()
        site = site.replace("127.0.0.1:7861", f"127.0.0.1:{a.port}").replace("127.0.0.1:7862", f"127.0.0.1:{b.port}")
        site = re.sub(r"listen 80;", f"listen 127.0.0.1:{self.port};", site)
        path = pathlib.Path(self.folder.name)
        path.chmod(0o755)  # where root starts it, its workers are another user
        temporary = "".join(f"{kind}_temp_path {path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (path / "nginx.conf").write_text(f"daemon off; worker_processes 1; pid {path}/pid; error_log {path}/error.log;\n"
                                         f"events {{}}\nhttp {{ access_log off; {temporary}\n{site}\n}}\n")
        self.process = subprocess.Popen([shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-p", str(path), "-c", str(path / "nginx.conf")], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("nginx did not start")

    def kill(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, {"Host": "edit.example.org", **(headers or {})})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def form(self, path, **fields):
        kind, body = multipart({"prompt": "make the car red", **fields}, [("image", "desert-car.png", asset("desert-car.png"))])
        return self.ask("POST", path, body, {"Content-Type": kind})


class Proxy(unittest.TestCase):
    def setUp(self):
        options = ("--trusted-proxy", "127.0.0.1", "--allowed-host", "edit.example.org", "--drain-seconds", "20")
        self.a, self.b = Server("--name", "a", *options), Server("--name", "b", *options)
        self.addCleanup(self.a.kill)
        self.addCleanup(self.b.kill)
        self.nginx = Nginx(self.a, self.b)
        self.addCleanup(self.nginx.kill)
        self.expected = edited("desert-car.png", "make the car red", "--seed", "3")

    def many(self, count, while_running=None):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(self.nginx.form, "/v1/images/edits", seed=3) for _ in range(count)]
            if while_running:
                time.sleep(0.5)
                while_running()
            for answer in answers:
                self.assertEqual(answer.result().status, 200, answer.result().body[:300])
                self.assertEqual(answer.result().picture(), self.expected)

    def test_work_is_shared_and_jobs_are_found_again(self):
        self.many(8)
        shares = [server.metric("edits_total") for server in (self.a, self.b)]
        self.assertEqual(sum(shares), 8)
        self.assertGreaterEqual(min(shares), 2)
        names = set()
        for _ in range(4):
            job = self.nginx.form("/v1/jobs", seed=3).json()["id"]
            names.add(job.split("_")[1])
            end = time.monotonic() + 60
            while (state := self.nginx.ask("GET", f"/v1/jobs/{job}").json())["status"] != "succeeded" and time.monotonic() < end:
                time.sleep(0.05)
            self.assertEqual(self.nginx.ask("GET", state["results"][0]["url"]).body, self.expected)
        self.assertEqual(names, {"a", "b"})
        events = self.nginx.ask("GET", f"/v1/jobs/{job}/events").body.decode()
        self.assertIn("event: succeeded", events)

    def test_one_that_dies_costs_no_request(self):
        self.many(10, lambda: self.b.process.kill())
        self.many(4)

    def test_one_that_drains_costs_no_request(self):
        self.many(10, lambda: self.b.process.send_signal(signal.SIGTERM))
        self.assertEqual(self.b.process.wait(60), 0)
        self.many(4)

    def test_clients_are_told_apart(self):
        self.assertEqual(self.nginx.ask("GET", "/health").status, 200)
        self.assertEqual(self.nginx.ask("GET", "/v1/models", headers={"Origin": "http://evil.org"}).status, 403)
        self.assertEqual(self.nginx.ask("GET", "/v1/models", headers={"Origin": "http://edit.example.org"}).status, 200)


if __name__ == "__main__":
    unittest.main()
