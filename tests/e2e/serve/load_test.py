"""A little of bench/serve.py: nothing is lost under load, memory returns, and slow or malformed clients hold up nobody."""
import unittest

import load
from serve_program import ROOT, Server, edited

LORA = str(ROOT / "models/nano/lora/pytorch_lora_weights.safetensors")
SEED = ("--seed", "3", "--steps", "1")


class Load(unittest.TestCase):
    def test_many_clients_and_a_short_queue(self):
        expected = {None: edited("desert-car.png", "make the car red", *SEED)}
        with Server("--queue", "8") as server:
            found = load.soak(server, 150, 30, expected, mark=50)
            self.assertEqual(found["wrong"], 0)
            self.assertGreater(found["refused"], 0)
            self.assertLess(found["resident_at_end"] - found["resident_at_mark"], 20e6)
            self.assertEqual(server.metric("edits_total"), 150)

    def test_switching_adapters(self):
        expected = {"half": edited("desert-car.png", "make the car red", *SEED, "--lora", LORA + ":0.5"),
                    "none": edited("desert-car.png", "make the car red", *SEED, "--no-lora")}
        with Server("--lora", f"half={LORA}:0.5") as server:
            found = load.soak(server, 60, 2, expected, mark=20, lora=lambda i: ("half", "none")[i % 2])
            self.assertEqual(found["wrong"], 0)
            self.assertLess(found["resident_at_end"] - found["resident_at_mark"], 20e6)

    def test_slow_clients(self):
        with Server() as server:
            found = load.beside_slow_clients(server, 100, 5)
            self.assertGreaterEqual(found["connections"], 100)  # and each edit was answered

    def test_malformed_requests(self):
        with Server("--api-key", "secret") as server:
            found = load.malformed(server, 600, "secret")
            self.assertEqual(found["let_in"], 0)
            self.assertGreater(found["answered"], 300)
            self.assertLess(found["resident_after"] - found["resident_before"], 150e6)
            self.assertEqual(server.get("/health").status, 200)


if __name__ == "__main__":
    unittest.main()
