"""The peer of bench/memory.py: the memory that one component's forward takes in diffusers or transformers.

    python bench/peer/memory.py MODEL COMPONENT [--dtype bf16] [--width 512] [--threads 2]

COMPONENT: transformer, text_encoder, text_encoder_2, vae_encoder, vae_decoder. The weights are loaded and touched first;
"activations" is how far the resident memory rises above that during the first forward. Prints one JSON object.
"""
import argparse
import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from diffusers.utils import logging
from transformers import CLIPTextModel, T5EncoderModel
from resident import start_anew, status

logging.set_verbosity_error()


def load(a, dtype):
    if a.component == "transformer":
        return FluxTransformer2DModel.from_pretrained(a.model, subfolder="transformer", torch_dtype=dtype)
    if a.component.startswith("vae"):
        return AutoencoderKL.from_pretrained(a.model, subfolder="vae", torch_dtype=dtype)
    kind = CLIPTextModel if a.component == "text_encoder" else T5EncoderModel
    return kind.from_pretrained(a.model, subfolder=a.component, dtype=dtype)


def inputs(a, dtype, c):
    """The forward of an edit of one half WIDTH x WIDTH, as a function of the model."""
    h, w = a.width // 8, a.width // 4
    if a.component == "text_encoder":
        return lambda m: m(torch.ones(1, 77, dtype=torch.long))
    if a.component == "text_encoder_2":
        return lambda m: m(torch.ones(1, a.text, dtype=torch.long))
    if a.component == "vae_encoder":
        image = torch.rand(1, 3, 8 * h, 8 * w, dtype=dtype)
        return lambda m: m.encode(image)
    if a.component == "vae_decoder":
        latents = torch.randn(1, c.latent_channels, h, w).to(dtype)
        return lambda m: m.decode(latents, return_dict=False)
    tokens = h // 2 * (w // 2)
    x = dict(hidden_states=torch.randn(1, tokens, c.in_channels).to(dtype), timestep=torch.full([1], 0.5, dtype=dtype),
             guidance=torch.full([1], 50.0), pooled_projections=torch.randn(1, c.pooled_projection_dim).to(dtype),
             encoder_hidden_states=torch.randn(1, a.text, c.joint_attention_dim).to(dtype),
             txt_ids=torch.zeros(a.text, 3, dtype=dtype), img_ids=torch.zeros(tokens, 3, dtype=dtype))
    return lambda m: m(**x, return_dict=False)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("component", choices=["transformer", "text_encoder", "text_encoder_2", "vae_encoder", "vae_decoder"])
    ap.add_argument("--dtype", default="bf16", choices=["f32", "bf16"])
    ap.add_argument("--width", type=int, default=512)
    ap.add_argument("--text", type=int, default=512)
    ap.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    dtype = torch.float32 if a.dtype == "f32" else torch.bfloat16
    model = load(a, dtype).eval()
    for p in model.parameters():
        p.data = p.data.clone()  # no page of a mapped file is left to be read in the forward
    forward = inputs(a, dtype, model.config)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    start_anew()
    before = status("VmRSS")
    with torch.no_grad():
        forward(model)
    print(json.dumps(dict(component=a.component, dtype=a.dtype, weights=weights, loaded=before,
                          activations=status("VmHWM") - before)))


main()
