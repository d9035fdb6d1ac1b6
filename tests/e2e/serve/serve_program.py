"""The built program as a server, for tests and bench/: started on a free port, asked, ended. Standard library only."""
import base64
import http.client
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import tempfile
import time
import uuid
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("ICEDIT_BINARY", str(ROOT / "build/release/icedit"))
ASSETS = ROOT / "assets"
# The last bits of an edit hang on the number of threads, which else hangs on who else is busy.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", **os.environ}


def asset(name):
    return (ASSETS / name).read_bytes()


def png(width, height, pixel, kind):
    """A PNG of pixel(x, y), a tuple; kind: 0 grey, 2 RGB, 6 RGBA."""
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def multipart(fields, files):
    """(content type, body). files: (field, name, bytes); a field that is a list is sent several times."""
    boundary = uuid.uuid4().hex
    parts = []
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            parts.append((f'form-data; name="{name}"', str(one).encode()))
    for field, name, content in files:
        parts.append((f'form-data; name="{field}"; filename="{name}"', content))
    body = b"".join(f"--{boundary}\r\nContent-Disposition: {head}\r\n\r\n".encode() + content + b"\r\n"
                    for head, content in parts)
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, dict(response.getheaders()), response.read()

    def json(self):
        return json.loads(self.body)

    def picture(self, index=0):
        return base64.b64decode(self.json()["data"][index]["b64_json"])


class Server:
    def __init__(self, *arguments, environment=None, tls=None):
        """`tls`: an ssl.SSLContext, where the server is told to encrypt."""
        self.tls = tls
        self.folder = tempfile.TemporaryDirectory()
        self.errors = open(pathlib.Path(self.folder.name) / "stderr", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--port", "0", *arguments], stdout=subprocess.PIPE, stderr=self.errors, text=True,
            cwd=self.folder.name, env={**ENVIRONMENT, **(environment or {})})
        self.line = self.process.stdout.readline()
        found = re.search(r"https?://(?:[\d.]+|\[[\d:]+\]):(\d+)/", self.line)
        if not found:
            why = self.stderr()
            self.kill()
            raise RuntimeError(f"the server did not start: {why}")
        self.port = int(found[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def stderr(self):
        self.errors.flush()
        return pathlib.Path(self.errors.name).read_text(encoding="utf-8")

    def kill(self):
        if self.process.poll() is None and self.line:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        self.folder.cleanup()

    def end(self, number=signal.SIGTERM):
        """Asks it to end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def connect(self, source="127.0.0.1", timeout=60):
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout, source_address=(source, 0))

    def ask(self, method, path, body=None, headers=None, source="127.0.0.1"):
        connection = self.connect(source)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, headers=headers)

    def form(self, path, fields, files, headers=None, source="127.0.0.1"):
        kind, body = multipart(fields, files)
        return self.ask("POST", path, body, {"Content-Type": kind, **(headers or {})}, source)

    def edit(self, picture="desert-car.png", prompt="make the car red", path="/v1/images/edits", files=(), **fields):
        return self.form(path, {"prompt": prompt, **fields}, [("image", picture, asset(picture)), *files])

    def job(self, picture="desert-car.png", prompt="make the car red", files=(), source="127.0.0.1", **fields):
        answer = self.form("/v1/jobs", {"prompt": prompt, **fields}, [("image", picture, asset(picture)), *files],
                           source=source)
        assert answer.status == 202, answer.body
        return answer.json()["id"]

    def wait(self, job, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = self.get(f"/v1/jobs/{job}").json()
            if state["status"] not in ("queued", "running"):
                return state
            time.sleep(0.02)
        raise TimeoutError(job)

    def metric(self, name):
        text = self.get("/metrics").body.decode()
        return float(re.search(rf"^icedit_{name} (\S+)$", text, re.M)[1])


def events_of(response):
    """(event, data) of a text/event-stream, as they come."""
    event = None
    for line in response:
        line = line.decode().rstrip("\n")
        if line.startswith("event: "):
            event = line[7:]
        elif line.startswith("data: "):
            yield event, json.loads(line[6:])


def edited(picture, prompt, *arguments):
    """The file that the command line makes."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.png"
        subprocess.run([BINARY, "edit", str(ASSETS / picture), prompt, "--quiet", *arguments, "-o", str(out)],
                       check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
        return out.read_bytes()
