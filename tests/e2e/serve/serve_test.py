"""icedit serve with the nano model, as clients see it: results equal the command line's, byte by byte."""
import base64
import io
import json
import math
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest

import PIL.Image
import PIL.ImageChops

from serve_program import ROOT, Server, asset, edited, events_of, multipart, png

LORA = str(ROOT / "models/nano/lora/pytorch_lora_weights.safetensors")


def psnr(a, b):
    a, b = (PIL.Image.open(io.BytesIO(one)).convert("RGB") for one in (a, b))
    histogram = PIL.ImageChops.difference(a, b).histogram()
    squares = sum(count * (level % 256) ** 2 for level, count in enumerate(histogram))
    return 10 * math.log10(255 ** 2 * 3 * a.width * a.height / max(squares, 1e-9))


def size_of(picture):
    return struct.unpack(">II", picture[16:24])


class Serve(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--lora", f"one={LORA}", "--lora", f"half={LORA}:0.5", "--queue", "8")

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()

    def same(self, answer, picture, prompt, *arguments):
        self.assertEqual(answer.status, 200, answer.body[:500])
        self.assertEqual(answer.picture(), edited(picture, prompt, *arguments))

    def test_an_edit_is_the_command_lines(self):
        answer = self.server.edit(seed=3)
        self.same(answer, "desert-car.png", "make the car red", "--seed", "3", "--lora", LORA)
        self.assertEqual(answer.json()["data"][0]["seed"], 3)
        answer = self.server.edit("cat.jpg", "make it night", seed=4, steps=3, guidance=2, output_size="source")
        self.same(answer, "cat.jpg", "make it night", "--seed", "4", "--steps", "3", "--guidance", "2",
                  "--output-size", "source", "--lora", LORA)

    def test_adapters_are_switched_without_a_trace(self):
        plain = edited("desert-car.png", "make the car red", "--seed", "3", "--no-lora")
        for lora, arguments in [("none", ["--no-lora"]), ("half", ["--lora", LORA + ":0.5"]), ("one", ["--lora", LORA]),
                                ("one:0.25,half", ["--lora", LORA + ":0.25", "--lora", LORA + ":0.5"]),
                                ("none", ["--no-lora"])]:
            answer = self.server.edit(seed=3, lora=lora)
            self.same(answer, "desert-car.png", "make the car red", "--seed", "3", *arguments)
            self.assertEqual(answer.picture() == plain, lora == "none")
        names = [lora["id"] for lora in self.server.get("/v1/loras").json()["data"]]
        self.assertEqual(names, ["one", "half"])

    def test_several_images_have_seeds_of_their_own(self):
        answer = self.server.edit(seed=7, n=2)
        self.assertEqual([one["seed"] for one in answer.json()["data"]], [7, 8])
        self.assertEqual(answer.picture(1), edited("desert-car.png", "make the car red", "--seed", "8", "--lora", LORA))

    def test_formats(self):
        jpeg = self.server.edit(seed=1, output_format="jpeg", output_compression=60).picture()
        webp = self.server.edit(seed=1, output_format="webp").picture()
        self.assertEqual((jpeg[:3], webp[8:12]), (b"\xff\xd8\xff", b"WEBP"))
        again = self.server.edit(seed=1, response_format="url").json()["data"][0]["url"]
        path = again[again.index("/v1/"):]
        self.assertEqual(self.server.get(path).body, self.server.edit(seed=1).picture())

    def test_size_crops_and_never_stretches(self):
        self.assertEqual(size_of(self.server.edit(seed=1, size="300x200").picture()), (300, 200))
        self.assertEqual(size_of(self.server.edit(seed=1, size="auto").picture()), (96, 96))

        # A circle stays one: of a wide picture with a disc in its middle the square part is taken.
        wide = png(384, 128, lambda x, y: (255, 0, 0) if (x - 192) ** 2 + (y - 64) ** 2 < 1600 else (0, 0, 0), 2)
        answer = self.server.form("/v1/images/edits", {"prompt": "make it night", "size": "128x128", "steps": 1},
                                  [("image", "wide.png", wide)])
        self.assertEqual(size_of(answer.picture()), (128, 128))

    def test_masks(self):
        hole = png(384, 384, lambda x, y: (9, 9, 9, 0 if x > 192 else 255), 6)
        white = png(384, 384, lambda x, y: (255 if x > 192 else 0,), 0)
        by_alpha = self.server.edit(seed=1, prompt="make it night", files=[("mask", "m.png", hole)])
        self.assertEqual(by_alpha.status, 200, by_alpha.body)
        job = self.server.job(seed=1, prompt="make it night", files=[("mask", "m.png", white)])
        result = self.server.wait(job)["results"][0]
        with tempfile.TemporaryDirectory() as folder:
            mask = pathlib.Path(folder) / "m.png"
            mask.write_bytes(white)
            self.assertEqual(self.server.get(result["url"]).body,
                             edited("desert-car.png", "make it night", "--seed", "1", "--mask", str(mask), "--lora", LORA))
        refused = self.server.edit(files=[("mask", "m.png", png(384, 384, lambda x, y: (0, 0, 0), 2))])
        self.assertEqual((refused.status, refused.json()["error"]["code"]), (400, "invalid_mask"))
        small = self.server.edit(files=[("mask", "m.png", png(8, 8, lambda x, y: (0, 0, 0, 0), 6))])
        self.assertEqual(small.status, 400)

    def test_json_with_data_urls(self):
        url = "data:image/png;base64," + base64.b64encode(asset("desert-car.png")).decode()
        for pictures in ({"image": url}, {"images": [{"image_url": url}]}):
            answer = self.server.ask("POST", "/v1/images/edits", json.dumps(
                {"prompt": "make the car red", "seed": 3, **pictures}), {"Content-Type": "application/json"})
            # The recipe names the picture otherwise, so that the files differ; the pixels do not.
            self.assertEqual(answer.status, 200, answer.body)

    def test_a_stream_shows_pictures_on_the_way(self):
        kind, body = multipart({"prompt": "make the car red", "seed": 3, "stream": "true", "partial_images": 2},
                               [("image", "desert-car.png", asset("desert-car.png"))])
        connection = self.server.connect()
        connection.request("POST", "/v1/images/edits", body, {"Content-Type": kind})
        events = list(events_of(connection.getresponse()))
        connection.close()
        self.assertEqual([name for name, _ in events],
                         ["image_edit.partial_image"] * 2 + ["image_edit.completed"])
        self.assertEqual([e["partial_image_index"] for _, e in events[:2]], [0, 1])
        self.assertEqual(base64.b64decode(events[2][1]["b64_json"]),
                         edited("desert-car.png", "make the car red", "--seed", "3", "--lora", LORA))

    def test_bad_requests_say_why(self):
        for answer, status, text in [
                (self.server.edit(steps=1000), 400, "at most 100"),
                (self.server.edit(stepz=1), 400, "did you mean 'steps'"),
                (self.server.edit(lora=LORA), 400, "no LoRA"),
                (self.server.edit(model="gpt-5"), 404, "nano"),
                (self.server.edit(files=[("image", "b.png", asset("cat.jpg"))]), 400, "more than one picture"),
                (self.server.form("/v1/images/edits", {"prompt": "x"}, []), 400, "no picture"),
                (self.server.form("/v1/images/edits", {"prompt": "x"}, [("image", "a.png", b"GIF89a" + b"x" * 99)]),
                 422, "GIF"),
                (self.server.form("/v1/images/edits", {"prompt": "x"},
                                  [("image", "a.png", asset("desert-car.png")[:2000])]), 422, "damaged"),
                (self.server.form("/v1/images/edits", {"prompt": "x"}, [("image", "bomb.png", png(
                    1, 1, lambda x, y: (0,), 0).replace(struct.pack(">II", 1, 1), struct.pack(">II", 60000, 60000)))]),
                 422, "")]:
            self.assertEqual(answer.status, status, answer.body)
            self.assertIn(text, answer.json()["error"]["message"])

    def test_a_running_job_is_cancelled_within_a_step(self):
        job = self.server.job(steps=100, width=512)
        while self.server.get(f"/v1/jobs/{job}").json()["status"] == "queued":
            time.sleep(0.01)
        begin = time.monotonic()
        self.server.ask("DELETE", f"/v1/jobs/{job}")
        self.assertEqual(self.server.wait(job)["status"], "cancelled")
        self.assertLess(time.monotonic() - begin, 10)  # all steps take minutes
        self.assertEqual(self.server.edit(seed=3, steps=1).status, 200)

    def test_an_interrupt_is_of_its_own_apis_edits(self):
        job = self.server.job(steps=100)
        while self.server.get(f"/v1/jobs/{job}").json()["status"] == "queued":
            time.sleep(0.01)
        self.assertEqual(self.server.ask("POST", "/sdapi/v1/interrupt", b"{}", {"Content-Type": "application/json"}).status, 200)
        self.assertEqual(self.server.wait(job)["status"], "succeeded")

    def test_a_client_that_leaves_cancels_its_request(self):
        before = self.server.metric("edits_cancelled_total")
        kind, body = multipart({"prompt": "x", "steps": 100, "width": 512},
                               [("image", "a.png", asset("desert-car.png"))])
        connection = self.server.connect()
        connection.request("POST", "/v1/images/edits", body, {"Content-Type": kind})
        while self.server.metric("running_jobs") == 0:
            time.sleep(0.02)
        connection.close()
        end = time.monotonic() + 30
        while self.server.metric("edits_cancelled_total") == before and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(self.server.metric("edits_cancelled_total"), before + 1)

    def test_a_queue_is_fair_and_full(self):
        block = self.server.job(steps=100, width=512)
        while self.server.get(f"/v1/jobs/{block}").json()["status"] == "queued":
            time.sleep(0.01)
        many = [self.server.job(steps=1) for _ in range(6)]
        refused = self.server.edit(path="/v1/jobs", steps=1)
        self.assertEqual((refused.status, refused.headers["Retry-After"]), (503, "2"))
        other = self.server.job(steps=1, source="127.0.0.9")
        self.assertEqual(self.server.get(f"/v1/jobs/{other}").json()["position"], 1)
        self.assertEqual([self.server.get(f"/v1/jobs/{j}").json()["position"] for j in many], [0, 2, 3, 4, 5, 6])
        for job in [*many, other, block]:
            self.server.ask("DELETE", f"/v1/jobs/{job}")
        self.assertEqual(self.server.wait(block)["status"], "cancelled")
        self.assertEqual(self.server.wait(other)["status"], "cancelled")


class Life(unittest.TestCase):
    def test_the_readmes_line(self):
        with Server() as server:
            self.assertIn("nano", server.line)
            self.assertEqual(server.get("/health").json(), {"status": "ok"})
            self.assertEqual([m["id"] for m in server.get("/v1/models").json()["data"]], ["nano"])
            self.assertEqual(server.edit(seed=3).picture(), edited("desert-car.png", "make the car red", "--seed", "3"))
            self.assertEqual(server.end(signal.SIGINT), 0)

    def test_sigterm_finishes_what_was_taken(self):
        with Server() as server:
            kind, body = multipart({"prompt": "make it night", "n": 4},
                                   [("image", "a.png", asset("desert-car.png"))])
            connection = server.connect()
            connection.request("POST", "/v1/images/edits", body, {"Content-Type": kind})
            while server.metric("running_jobs") == 0:
                time.sleep(0.01)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
            self.assertEqual(server.edit().status, 503)
            self.assertEqual(server.get("/health").status, 503)
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()
            self.assertEqual(server.process.wait(timeout=60), 0)

    def test_sigterm_cancels_after_its_time(self):
        with Server("--drain-seconds", "1") as server:
            server.job(steps=100, width=512)
            while server.metric("running_jobs") == 0:
                time.sleep(0.01)
            begin = time.monotonic()
            self.assertEqual(server.end(), 0)
            self.assertLess(time.monotonic() - begin, 20)

    def test_systemd_is_told(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(folder + "/notify")
            listener.settimeout(20)
            with Server(environment={"NOTIFY_SOCKET": folder + "/notify"}) as server:
                self.assertEqual(listener.recv(100), b"READY=1")
                server.end()

    def test_other_machines_need_a_key_and_a_name(self):
        for arguments, text in [(["--host", "0.0.0.0"], "--api-key"),
                                (["--host", "0.0.0.0", "--api-key", "k"], "--allowed-host"),
                                (["--host", "0.0.0.0", "--no-auth"], "--allowed-host"),
                                (["--host", "example.org"], "--host"),
                                (["--lora", LORA, "--lora", LORA], "two LoRAs")]:
            with self.assertRaisesRegex(RuntimeError, text):
                Server(*arguments)
        with Server("--host", "0.0.0.0", "--api-key", "secret", "--allowed-host", "edit.test") as server:
            self.assertEqual(server.get("/v1/models").status, 401)
            self.assertEqual(server.get("/v1/models", Authorization="Bearer secret").status, 200)
            self.assertEqual(server.get("/", Host="other.test").status, 403)
            self.assertEqual(server.get("/", Host="edit.test").status, 200)
            self.assertNotIn("secret", server.stderr())

    def test_encrypted_connections(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key, other = (f"{folder}/{name}.pem" for name in ("certificate", "key", "other"))
            for to, extra in ((key, ["-keyout", key, "-out", certificate]), (other, ["-keyout", other, "-out", f"{folder}/unused"])):
                subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                                "-addext", "subjectAltName=IP:127.0.0.1", *extra], check=True, capture_output=True)
            tls = ssl.create_default_context(cafile=certificate)
            with Server("--tls-cert", certificate, "--tls-key", key, "--api-key", "one", tls=tls) as server:
                self.assertIn("https://127.0.0.1:", server.line)
                key_shown = {"Authorization": "Bearer one"}
                answer = server.form("/v1/images/edits", {"prompt": "make the car red", "seed": 3},
                                     [("image", "desert-car.png", asset("desert-car.png"))], key_shown)
                self.assertEqual(answer.picture(), edited("desert-car.png", "make the car red", "--seed", "3"))
                several = server.form("/v1/images/edits", {"prompt": "make it night", "n": 4, "output_size": "source"},
                                      [("image", "a.jpg", asset("astronaut.jpg"))], key_shown)
                self.assertEqual(len(several.json()["data"]), 4)
                # The page's session is for encrypted connections alone.
                session = server.ask("POST", "/session", headers={"Origin": f"https://127.0.0.1:{server.port}", **key_shown})
                self.assertIn("; Secure", session.headers["Set-Cookie"])
                # A refusal while the body is still coming, and one who does not encrypt.
                refused = server.ask("POST", "/v1/images/edits", bytes(3_000_000))
                self.assertEqual(refused.status, 401)
                with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
                    plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    self.assertNotIn(b"200 OK", plain.recv(1000))
                self.assertEqual(server.get("/health").status, 200)
                self.assertEqual(server.end(), 0)
            for arguments, why in ((("--tls-cert", certificate), "--tls-cert needs --tls-key"),
                                   (("--tls-cert", certificate, "--tls-key", other), "is not the key of"),
                                   (("--tls-cert", key, "--tls-key", key), "expected a PEM file with the certificate"),
                                   (("--tls-cert", certificate, "--tls-key", certificate), "expected a PEM file with the certificate's private"),
                                   (("--tls-cert", f"{folder}/none", "--tls-key", key), "no such file")):
                with self.assertRaisesRegex(RuntimeError, why):
                    Server(*arguments)
            locked = f"{folder}/locked.pem"
            subprocess.run(["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", locked], check=True)
            with self.assertRaisesRegex(RuntimeError, "is encrypted"):
                Server("--tls-cert", certificate, "--tls-key", locked)

    def test_a_batch_is_what_each_alone_is(self):
        wanted = [("desert-car.png", "make the car red", 3), ("cat.jpg", "make it night", 4), ("snow-house.png", "add a sun", 5),
                  ("desert-balloon.png", "without the cloud", 6)]
        with Server("--batch", "4") as server:
            first = server.job(steps=100)  # the others wait for it
            jobs = [server.job(picture, prompt, seed=seed) for picture, prompt, seed in wanted]
            broken = server.form("/v1/jobs", {"prompt": "x"}, [("image", "a.png", asset("cat.jpg")[:3000])]).json()["id"]
            given_up = server.job("snow-ball.png", "make it night", seed=7)
            self.assertEqual(server.ask("DELETE", f"/v1/jobs/{given_up}").json()["status"], "cancelled")
            self.assertEqual(server.wait(first)["status"], "succeeded")
            alone = server.metric("steps_total")
            for job, (picture, prompt, seed) in zip(jobs, wanted):
                state = server.wait(job)
                self.assertEqual(state["status"], "succeeded", state)
                result = server.get(f"/v1/jobs/{job}/results/0").body
                self.assertGreaterEqual(psnr(result, edited(picture, prompt, "--seed", str(seed))), 50)
            self.assertEqual(server.wait(broken)["status"], "failed")
            # Eight steps each: the three squares together, and the cat.
            self.assertEqual(server.metric("steps_total") - alone, 16)
            self.assertEqual(server.edit(seed=3).picture(), edited("desert-car.png", "make the car red", "--seed", "3"))

    def test_results_are_kept_in_a_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "result_41.png").write_bytes(b"older")
            with Server("--save-dir", folder) as server:
                picture = server.edit(seed=3, prompt="private words").picture()
                server.edit(seed=4, output_format="jpeg")
                end = time.monotonic() + 10  # written after the answer
                while not (pathlib.Path(folder) / "result_43.jpeg").exists() and time.monotonic() < end:
                    time.sleep(0.01)
                self.assertTrue((pathlib.Path(folder) / "result_43.jpeg").exists())
                self.assertEqual((pathlib.Path(folder) / "result_42.png").read_bytes(), picture)
                self.assertNotIn("private words", server.stderr())


if __name__ == "__main__":
    unittest.main()
