"""The peer of bench/startup.py: loads diffusers' pipeline, says "denoising 1/1" after the first step, and ends.

    python bench/peer/startup.py MODEL PICTURE INSTRUCTION [--width 64] [--threads 2]
"""
import argparse
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from diffusers import FluxFillPipeline
from PIL import Image


def first_step(pipe, step, timestep, tensors):
    print("denoising 1/1", file=sys.stderr, flush=True)
    os._exit(0)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("picture")
    ap.add_argument("instruction")
    ap.add_argument("--width", type=int, default=64)
    ap.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    pipe = FluxFillPipeline.from_pretrained(a.model)
    pipe.set_progress_bar_config(disable=True)
    source = Image.open(a.picture).convert("RGB").resize((a.width, a.width))
    both = Image.new("RGB", (2 * a.width, a.width))
    both.paste(source, (0, 0))
    both.paste(source, (a.width, 0))
    mask = Image.new("L", both.size, 0)
    mask.paste(255, (a.width, 0, 2 * a.width, a.width))
    prompt = ("A diptych with two side-by-side images of the same scene. On the right, the scene is exactly the same as on "
              "the left but " + a.instruction)
    pipe(prompt=prompt, image=both, mask_image=mask, height=a.width, width=2 * a.width, guidance_scale=50,
         num_inference_steps=1, generator=torch.Generator().manual_seed(0), callback_on_step_end=first_step)


main()
