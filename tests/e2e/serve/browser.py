"""A real Chromium, headless, driven by chromedriver through the WebDriver protocol. Standard library only."""
import base64
import http.client
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def is_there():
    return bool(shutil.which("chromedriver") and shutil.which("chromium"))


def started(command=("chromedriver", "--port=0"), tries=2):
    """The driver's process and port. On a loaded machine it once ended before it had a port: then it is started again."""
    printed = []
    for _ in range(tries):
        with tempfile.TemporaryFile("w+") as errors:  # no pipe, which would be full one day
            driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
            for line in driver.stdout:
                printed.append(line)
                if found := re.search(r"started successfully on port (\d+)", line):
                    return driver, int(found[1])
            driver.stdout.close()
            code = driver.wait()
            errors.seek(0)
            printed.append(f"{errors.read()}[ended with code {code}]\n")
    raise RuntimeError(f"{command[0]} printed no port in {tries} starts, but: {''.join(printed)}")


class Browser:
    def __init__(self, width=1280, height=900, dark=False, phone=False):
        self.downloads = tempfile.TemporaryDirectory()
        self.driver, self.port = started()
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--window-size={width},{height}",
                     "--hide-scrollbars", "--force-device-scale-factor=1"]
        if dark:
            arguments.append("--blink-settings=preferredColorScheme=0")
        options = {"args": arguments, "prefs": {"download.default_directory": self.downloads.name}}
        if phone:
            options["mobileEmulation"] = {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 2, "touch": True}}
        self.session = self.call("POST", "", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.call("DELETE", "")
        self.driver.terminate()
        self.driver.wait()
        self.driver.stdout.close()
        self.downloads.cleanup()

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        base = f"/session/{self.session}" if hasattr(self, "session") else "/session"
        connection.request(method, base + path, json.dumps(body or {}) if method == "POST" else None, {"Content-Type": "application/json"})
        value = json.loads(connection.getresponse().read())["value"]
        connection.close()
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(f"{path}: {value['error']}: {value['message'][:500]}")
        return value

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """Runs JavaScript; `return` gives a value, a promise is waited for."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, css):
        return self.call("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        self.call("POST", f"/element/{self.find(css)}/click")

    def type(self, css, text):
        self.call("POST", f"/element/{self.find(css)}/value", {"text": text})

    def write(self, css, text):
        self.call("POST", f"/element/{self.find(css)}/clear")
        self.type(css, text)

    def press(self, keys):
        """Each key of the text; the protocol's names for others are in the Unicode's private area."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def drag(self, css, begin, end):
        """From a place of the element to another, each from 0 to 1, with the mouse."""
        box = self.run("const b = document.querySelector(arguments[0]).getBoundingClientRect(); return [b.x, b.y, b.width, b.height]", css)
        place = [(round(box[0] + box[2] * x), round(box[1] + box[3] * y)) for x, y in (begin, end)]
        move = [{"type": "pointerMove", "duration": 50, "x": x, "y": y} for x, y in place]
        self.call("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": [
            move[0], {"type": "pointerDown", "button": 0}, move[1], {"type": "pointerUp", "button": 0}]}]})

    def is_shown(self, css):
        return self.run("const e = document.querySelector(arguments[0]); return Boolean(e && e.checkVisibility())", css)

    def text(self, css):
        return self.run("return document.querySelector(arguments[0]).textContent", css)

    def wait(self, condition, what, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := condition():
                return value
            time.sleep(0.05)
        raise TimeoutError(what)

    def downloaded(self, seconds=20):
        """The only file that was downloaded, once it is whole; it is taken away."""
        folder = pathlib.Path(self.downloads.name)
        files = self.wait(lambda: [f for f in folder.iterdir() if not f.name.endswith(".crdownload") and not f.name.startswith(".")],
                          "a download", seconds)
        name, content = files[0].name, files[0].read_bytes()
        files[0].unlink()
        return name, content

    def cdp(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def tree(self):
        """Chromium's own accessibility tree: (role, name) of all that it shows to a screen reader, in order."""
        self.cdp("Accessibility.enable")
        nodes = self.cdp("Accessibility.getFullAXTree")["nodes"]
        return [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n.get("ignored")]

    def problems(self):
        """What the browser complained of: errors of scripts and of the Content-Security-Policy."""
        return [e["message"] for e in self.call("POST", "/se/log", {"type": "browser"}) if e["level"] == "SEVERE"]

    def screenshot(self, path):
        pathlib.Path(path).write_bytes(base64.b64decode(self.call("GET", "/screenshot")))
