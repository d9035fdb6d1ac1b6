"""Programs that others wrote, unchanged: OpenAI's Python client, webuiapi, and schemathesis on docs/openapi.yaml."""
import base64
import concurrent.futures
import io
import os
import subprocess
import sys
import unittest

import openai
import PIL.Image
import webuiapi

from serve_program import ASSETS, ROOT, Server, asset, edited

EXAMPLES = int(os.environ.get("ICEDIT_SCHEMATHESIS_EXAMPLES", "20"))  # for each operation


class OpenAIsClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--api-key", "secret")
        cls.client = openai.OpenAI(base_url=f"http://127.0.0.1:{cls.server.port}/v1", api_key="secret", max_retries=0)
        cls.expected = edited("desert-car.png", "make the car red", "--seed", "3")

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()

    def edit(self, **options):
        return self.client.images.edit(**{"model": "gpt-image-1", "prompt": "make the car red", "extra_body": {"seed": 3},
                                          "image": ("desert-car.png", asset("desert-car.png"), "image/png"), **options})

    def test_an_edit(self):
        answer = self.edit()
        self.assertEqual(base64.b64decode(answer.data[0].b64_json), self.expected)
        self.assertGreater(answer.usage.total_tokens, 0)

    def test_everything_that_the_client_can_say(self):
        answer = self.edit(image=[("desert-car.png", io.BytesIO(asset("desert-car.png")))], n=2, size="1024x1024", quality="high",
                           background="opaque", output_format="webp", output_compression=90, input_fidelity="high", user="me")
        self.assertEqual(len(answer.data), 2)
        self.assertEqual(answer.size, "1024x1024")
        self.assertEqual(base64.b64decode(answer.data[1].b64_json)[8:12], b"WEBP")
        self.assertTrue(self.edit(model="dall-e-2", response_format="url").data[0].url.startswith("http://127.0.0.1:"))

    def test_a_stream(self):
        events = list(self.edit(stream=True, partial_images=2))
        self.assertEqual([e.type for e in events], ["image_edit.partial_image"] * 2 + ["image_edit.completed"])
        self.assertEqual([e.partial_image_index for e in events[:2]], [0, 1])
        self.assertEqual(base64.b64decode(events[2].b64_json), self.expected)
        self.assertGreater(events[2].usage.total_tokens, 0)

    def test_errors(self):
        with self.assertRaises(openai.BadRequestError) as bad:
            self.edit(image=[("a.png", asset("cat.jpg")), ("b.png", asset("cat.jpg"))])
        self.assertEqual((bad.exception.code, bad.exception.param), ("too_many_images", "image"))
        with self.assertRaises(openai.BadRequestError) as bad:
            self.edit(mask=("m.png", asset("desert-car.png")))
        self.assertEqual(bad.exception.code, "invalid_mask")
        with self.assertRaises(openai.NotFoundError):
            self.edit(model="gpt-5")
        with self.assertRaises(openai.UnprocessableEntityError):
            self.edit(image=("a.png", b"no picture"))
        with self.assertRaises(openai.AuthenticationError):
            self.client.with_options(api_key="wrong").images.edit(image=b"x", prompt="x")

    def test_models(self):
        self.assertEqual([m.id for m in self.client.models.list()], ["nano"])
        self.assertEqual(self.client.models.retrieve("nano").owned_by, "icedit")


class WebUI(unittest.TestCase):
    """webuiapi's img2img, with progress and interrupt."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.api = webuiapi.WebUIApi(port=cls.server.port)
        cls.picture = PIL.Image.open(ASSETS / "desert-car.png")

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()

    def test_img2img(self):
        result = self.api.img2img(images=[self.picture], prompt="make the car red", seed=3, steps=8, width=384, height=384, mask_blur=0)
        self.assertEqual(result.info["seed"], 3)
        made = PIL.Image.open(io.BytesIO(edited("desert-car.png", "make the car red", "--seed", "3"))).resize((384, 384), PIL.Image.LANCZOS)
        self.assertEqual(result.image.tobytes(), made.tobytes())
        result = self.api.img2img(images=[self.picture], prompt="make it night", batch_size=2, n_iter=2, steps=1, mask_blur=0,
                                  mask_image=PIL.Image.new("L", (384, 384), 255))
        self.assertEqual([image.size for image in result.images], [(512, 512)] * 4)

    def test_progress_and_interrupt(self):
        self.api.util_wait_for_ready()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            edit = pool.submit(self.api.img2img, images=[self.picture], prompt="make it night", steps=100, n_iter=5, mask_blur=0)
            while not (seen := self.api.get_progress())["current_image"]:
                self.assertFalse(edit.done())
            self.assertGreater(seen["progress"], 0)
            self.assertEqual(seen["state"]["job_count"], 1)
            self.api.interrupt()
            self.assertEqual((edit.result(timeout=60).images, edit.result().info["interrupted"]), ([], True))

    def test_models_and_options(self):
        self.assertEqual(self.api.util_get_current_model(), "nano")
        self.assertEqual(self.api.util_get_model_names(), ["nano"])
        self.api.util_set_model("nano")


class Schema(unittest.TestCase):
    def test_the_server_does_as_openapi_yaml_says(self):
        with Server("--max-steps", "2", "--max-width", "96") as server:
            run = subprocess.run(
                [sys.executable, "-m", "schemathesis.cli", "run", str(ROOT / "docs/openapi.yaml"), "--url", f"http://127.0.0.1:{server.port}",
                 "--max-examples", str(EXAMPLES), "--seed", "1", "--phases", "examples,coverage,fuzzing", "--request-timeout", "60",
                 "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
                 "--exclude-path", "/v1/jobs/{id}/events"],
                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=server.folder.name)
            self.assertEqual(run.returncode, 0, run.stdout[-6000:])
            self.assertEqual(server.get("/health").status, 200)


if __name__ == "__main__":
    unittest.main()
