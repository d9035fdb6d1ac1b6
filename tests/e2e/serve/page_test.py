"""The page in a real Chromium, with the nano model: what a user does, and what a screen reader is told.

    tests/e2e/serve/page_test.py [--pictures FOLDER]    with it, screenshots for docs/pictures are written there
"""
import base64
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time
import unittest

import browser
from serve_program import ASSETS, BINARY, ENVIRONMENT, Server, asset, edited

PICTURES = None
TAB, ENTER, RIGHT, DOWN = "\ue004", "\ue007", "\ue014", "\ue015"


def setUpModule():
    Page.server = Server()
    if not browser.is_there():
        raise unittest.SkipTest("there is no chromium with chromedriver")


def tearDownModule():
    Page.server.kill()


class Page(unittest.TestCase):
    server = None

    def visit(self, **options):
        page = browser.Browser(**options)
        self.addCleanup(page.__exit__)
        page.open(f"http://127.0.0.1:{self.server.port}/")
        page.wait(lambda: page.is_shown("#examples button"), "the examples")
        self.page = page
        return page

    def upload(self, name="desert-car.png"):
        self.page.type("#file", str(ASSETS / name))
        self.page.wait(lambda: self.page.is_shown("#source") and name in self.page.text("#source-name"), "the photo")

    def edit(self, prompt="make the car red", seed=3):
        page = self.page
        if not page.is_shown("#seed"):
            page.click("#more summary")
        if page.run("return document.querySelector('#random').checked"):
            page.click("#random")
        page.write("#seed", str(seed))
        page.write("#prompt", prompt)
        page.click("#go")
        page.wait(lambda: not page.is_shown("#running"), "the end of the edit")
        self.assertEqual(page.text("#error"), "")
        self.assertTrue(page.is_shown("#result"))

    def download(self):
        self.page.click("#download")
        return self.page.downloaded()

    def picture(self, name):
        if PICTURES:
            time.sleep(0.4)
            self.page.screenshot(pathlib.Path(PICTURES) / f"serve-{name}.png")

    def tearDown(self):
        if hasattr(self, "page"):
            self.assertEqual([p for p in self.page.problems() if "favicon" not in p], [])

    def test_what_is_downloaded_is_the_command_lines(self):
        page = self.visit()
        self.picture("begin")
        self.upload()
        self.assertTrue(page.run("return document.querySelector('#full').checked"))  # the photo is larger than the model
        self.edit()
        name, content = self.download()
        self.assertEqual(name, "desert-car-edit-3.png")
        self.assertEqual(content, edited("desert-car.png", "make the car red", "--seed", "3", "--output-size", "source"))
        # The command that the page shows makes it too.
        page.run("document.querySelector('#command').click()")
        page.wait(lambda: "icedit edit" in page.text("#status"), "the command")
        words = shlex.split(page.text("#status").removeprefix("Copied: "))
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "desert-car.png").write_bytes(asset("desert-car.png"))
            subprocess.run([BINARY, *words[1:], "--quiet"], cwd=folder, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
            self.assertEqual((pathlib.Path(folder) / name).read_bytes(), content)
        # The model's own picture is one click away, and the recipe says what was done.
        page.click("#own")
        self.assertEqual(page.run("return document.querySelector('#own').ariaPressed"), "true")
        page.wait(lambda: page.run("return document.querySelector('#after').naturalWidth") == 96, "the model's picture")
        self.assertIn("make the car red", page.text("#recipe"))

    def test_the_slider_moves_with_the_mouse_and_the_keys(self):
        page = self.visit()
        page.click("#examples li:nth-child(2) button")
        page.wait(lambda: page.is_shown("#source"), "the example")
        self.assertEqual(page.run("return document.querySelector('#prompt').value"), "make it night")
        page.click("#go")
        page.wait(lambda: page.is_shown("#result"), "the result")
        self.picture("result")
        at = "return document.querySelector('#slider').value"
        page.drag("#slider", (0.5, 0.5), (0.2, 0.5))
        self.assertLess(int(page.run(at)), 30)
        before = int(page.run(at))
        page.run("document.querySelector('#slider').focus()")
        page.press(RIGHT * 5)
        self.assertEqual(int(page.run(at)), before + 5)
        clip = page.run("return getComputedStyle(document.querySelector('#before')).clipPath")
        self.assertIn(f"{100 - before - 5}%", clip.replace("calc(100% - ", "").replace(str(before + 5) + "%", f"{100 - before - 5}%"))

    def test_progress_is_seen_and_cancelled(self):
        page = self.visit()
        self.upload()
        page.click("#more summary")
        page.write("#steps", "50")
        page.write("#count", "10")
        page.write("#prompt", "make it night")
        page.click("#go")
        page.wait(lambda: page.run("return document.querySelector('#after').src").startswith("data:image/png"), "a preview")
        self.assertRegex(page.text("#status"), r"Picture \d+ of 10: (Step \d+ of 50|\w+)")
        self.assertGreater(page.run("return document.querySelector('#progress').value"), 0)
        self.picture("progress")
        page.click("#cancel")
        page.wait(lambda: not page.is_shown("#running"), "the end")
        self.assertEqual(page.text("#status"), "Cancelled.")
        self.assertFalse(page.is_shown("#result"))
        self.assertEqual(self.server.metric("running_jobs"), 0)

    def test_a_painted_mask_keeps_the_rest(self):
        page = self.visit()
        self.upload()
        page.click("#mask-open")
        page.drag("#mask", (0.75, 0.3), (0.75, 0.7))
        page.run("document.querySelector('#mask').focus()")
        page.press(RIGHT + DOWN + " ")
        self.picture("mask")
        page.click("#mask-done")
        self.edit("make it night")
        self.assertIn("painted", page.text("#recipe"))
        _, content = self.download()
        # The left half, which was not painted, is the photo's.
        same = page.run("""
            const load = async bytes => createImageBitmap(new Blob([Uint8Array.from(atob(bytes), c => c.charCodeAt(0))]));
            const pixels = async (picture, x) => {
              const canvas = new OffscreenCanvas(100, 384), pen = canvas.getContext('2d');
              pen.drawImage(picture, -x, 0);
              return pen.getImageData(0, 0, 100, 384).data.join();
            };
            return (async () => {
              const [a, b] = [await load(arguments[0]), await load(arguments[1])];
              return [await pixels(a, 0) === await pixels(b, 0), await pixels(a, 240) === await pixels(b, 240)];
            })();""", *(base64.b64encode(x).decode() for x in (content, asset("desert-car.png"))))
        self.assertEqual(same, [True, False])

    def test_several_results_and_a_way_back(self):
        page = self.visit()
        self.upload()
        page.click("#more summary")
        page.write("#count", "2")
        self.edit(seed=3)
        seeds = re.findall(r"seed (\d+)", page.text("#several"))
        self.assertEqual(seeds, ["3", "4"])
        page.click("#several li:nth-child(2) button")
        self.assertEqual(self.download()[0], "desert-car-edit-4.png")
        page.click("#again")
        self.assertIn("desert-car-edit-4.png", page.text("#source-name"))
        page.write("#count", "1")
        self.edit("make it night", seed=5)
        self.assertEqual(page.run("return document.querySelectorAll('#history li').length"), 2)
        page.click("#history li:nth-child(1) button")
        self.assertEqual(page.run("return document.querySelector('#prompt').value"), "make the car red")
        self.assertIn("desert-car.png", page.text("#source-name"))

    def test_photos_come_by_drop_and_paste(self):
        page = self.visit()
        for kind in ("drop", "paste"):
            page.run("""
                return (async () => {
                  const blob = await (await fetch('/examples/cat.jpg')).blob();
                  const data = new DataTransfer();
                  data.items.add(new File([blob], arguments[0] + '.jpg', {type: 'image/jpeg'}));
                  const event = arguments[0] === 'drop' ? new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})
                    : new ClipboardEvent('paste', {clipboardData: data, bubbles: true});
                  document.body.dispatchEvent(event);
                })();""", kind)
            page.wait(lambda: kind + ".jpg, 451 × 300" in page.text("#source-name"), kind)

    def test_errors_are_plain(self):
        page = self.visit()
        page.write("#prompt", "x")
        page.click("#go")
        self.assertIn("Choose a photo first", page.text("#error"))
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            file.write(b"no picture")
            file.flush()
            page.type("#file", file.name)
            page.wait(lambda: "no picture that the browser can read" in page.text("#error"), "an error")

    def test_large_photos_are_scaled_down(self):
        with Server("--max-pixels", "60000") as small:
            page = self.visit()
            page.open(f"http://127.0.0.1:{small.port}/")
            page.wait(lambda: page.is_shown("#examples button"), "the examples")
            self.page.type("#file", str(ASSETS / "desert-car.png"))
            page.wait(lambda: "244 × 244" in page.text("#source-name"), "the smaller photo")
            page.write("#prompt", "make it night")
            page.click("#go")
            page.wait(lambda: page.is_shown("#result"), "the result")

    def test_a_key_is_asked_for_once(self):
        with Server("--api-key", "secret") as server:
            page = browser.Browser()
            self.addCleanup(page.__exit__)
            page.open(f"http://127.0.0.1:{server.port}/")
            page.wait(lambda: page.is_shown("#key"), "the question")
            page.type("#key", "wrong" + ENTER)
            page.wait(lambda: page.is_shown("#key-error"), "the error")
            page.write("#key", "secret")
            page.press(ENTER)
            page.wait(lambda: page.is_shown("#examples button"), "the page")
            self.assertEqual(page.run("return document.cookie"), "")  # no script sees it
            page.open(f"http://127.0.0.1:{server.port}/")
            page.wait(lambda: page.is_shown("#examples button"), "the page again")
            page.click("#examples li:nth-child(1) button")
            page.wait(lambda: page.is_shown("#source"), "the example")
            page.click("#go")
            page.wait(lambda: page.is_shown("#result"), "the result")

    def test_a_screen_reader_is_told_everything(self):
        page = self.visit()
        self.upload()
        page.click("#more summary")
        nameless = [role for role, name in page.tree() if not name and role in
                    ("button", "textbox", "checkbox", "radio", "slider", "spinbutton", "combobox", "link", "image", "progressbar")]
        self.assertEqual(nameless, [])
        self.edit()
        tree = page.tree()
        self.assertIn(("slider", "Before and after"), tree)
        self.assertIn(("link", "Download"), tree)
        self.assertTrue(any(role == "status" for role, _ in tree))
        self.assertTrue(any(role == "main" for role, _ in tree))
        # Everything is reached with the tabulator, in the order of the page, and the focus is seen.
        page.run("const top = document.querySelector('h1'); top.tabIndex = -1; top.focus()")
        order, outlined = [], []
        for _ in range(40):
            page.press(TAB)
            order.append(page.run("return document.activeElement.id || document.activeElement.parentElement?.closest('[id]')?.id || ''"))
            outlined.append(page.run("const e = document.activeElement, s = getComputedStyle(e); return s.outlineStyle !== 'none' || "
                                     "e.id === 'slider' || e.classList.contains('unseen')"))
        first = {name: order.index(name) for name in ("theme", "slider", "prompt", "go", "full", "steps", "download", "again", "command")}
        self.assertEqual(sorted(first, key=first.get), list(first))
        self.assertTrue(all(outlined[:max(first.values())]), list(zip(order, outlined)))

    CONTRAST = """
        const parse = c => { const m = c.match(/[\\d.]+/g).map(Number); return {rgb: m.slice(0, 3), a: m.length > 3 ? m[3] : 1}; };
        const light = rgb => { const [r, g, b] = rgb.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
        const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a > .5) return c.rgb; } return [255, 255, 255]; };
        const low = [];
        for (const e of document.querySelectorAll('body *')) {
          const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
          if (!own || !e.checkVisibility() || e.matches(':disabled, .tag')) continue;
          const a = light(parse(getComputedStyle(e).color).rgb), b = light(behind(e));
          const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
          if (ratio < 4.5) low.push(`${e.tagName} ${e.id} ${e.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`);
        }
        return low;"""

    def test_dark_light_and_phone(self):
        for options, name in (({}, "light"), ({"dark": True}, "dark"), ({"width": 390, "height": 844, "phone": True}, "phone")):
            page = self.visit(**options)
            self.assertEqual(page.run("return matchMedia('(prefers-color-scheme: dark)').matches"), "dark" in options)
            self.upload("cat.jpg")
            self.assertEqual(page.run(self.CONTRAST), [], name)
            page.click("#more summary")
            page.write("#count", "3")
            self.edit("make it night")
            self.assertEqual(page.run(self.CONTRAST), [], name)
            self.assertLessEqual(page.run("return document.documentElement.scrollWidth - innerWidth"), 0, name)
            page.run("document.querySelector('#more').open = false; scrollTo(0, 0)")
            self.picture(name)
            if "dark" in options:
                page.click("#theme")
                self.assertEqual(page.run(self.CONTRAST), [], "light by choice")

    def test_the_first_view_is_small_and_quick(self):
        page = self.visit()
        size = page.run("return performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
                        ".reduce((sum, e) => sum + e.transferSize, 0)")
        self.assertLess(size, 100_000)
        urls = page.run("return performance.getEntriesByType('resource').map(e => new URL(e.name).host)")
        self.assertEqual(set(urls), {f"127.0.0.1:{self.server.port}"})


if __name__ == "__main__":
    if "--pictures" in sys.argv:
        at = sys.argv.index("--pictures")
        PICTURES = sys.argv[at + 1]
        del sys.argv[at:at + 2]
    unittest.main()
