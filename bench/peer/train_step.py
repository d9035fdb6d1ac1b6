"""The peer of bench_train_step: the same step with diffusers' FluxTransformer2DModel, peft's LoRA and prodigyopt.

    python bench/peer/train_step.py MODEL CONFIG [--dtype f32] [--checkpointing 1] [--half 512] [--text 512] [--steps 1] [--threads 2]

CONFIG is ICEdit's YAML: rank, targets, optimizer. The base has the dtype, the LoRA is f32, as ICEdit trains. "memory" is
the most that was resident from the start of the first step on, less what the process held before it loaded the model. Prints one
JSON object.
"""
import argparse
import json
import os
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import prodigyopt
import torch
import yaml
from diffusers import FluxTransformer2DModel
from diffusers.utils import logging
from peft import LoraConfig
from resident import start_anew, status

logging.set_verbosity_error()


def load(a, dtype, config):
    model = FluxTransformer2DModel.from_pretrained(a.model, subfolder="transformer", torch_dtype=dtype)
    model.requires_grad_(False).train()
    if a.checkpointing:
        model.enable_gradient_checkpointing()
    model.add_adapter(LoraConfig(**config["lora_config"]))
    trained = [p for p in model.parameters() if p.requires_grad]
    for p in trained:
        p.data = p.data.to(torch.float32 if a.adapter == "f32" else dtype)
    return model, trained


def make_optimizer(config, trained):
    kind = {"AdamW": torch.optim.AdamW, "Prodigy": prodigyopt.Prodigy}[config["type"]]
    return kind(trained, **config["params"])


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("config")
    ap.add_argument("--dtype", default="bf16", choices=["f32", "bf16"])
    ap.add_argument("--adapter", default="f32", choices=["f32", "bf16"])
    for name, value in dict(checkpointing=0, half=512, text=512, steps=1, threads=2).items():
        ap.add_argument("--" + name, type=int, default=value)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    dtype = torch.float32 if a.dtype == "f32" else torch.bfloat16
    with open(a.config) as f:
        config = yaml.safe_load(f)["train"]
    idle = status("VmRSS")
    model, trained = load(a, dtype, config)
    optimizer = make_optimizer(config["optimizer"], trained)
    c, g = model.config, torch.Generator().manual_seed(0)
    h, w = a.half // 8, 2 * a.half // 8
    tokens = h // 2 * (w // 2)
    randn = lambda *shape: torch.randn(shape, generator=g).to(dtype)
    x_0, condition = randn(1, tokens, c.out_channels), randn(1, tokens, c.in_channels - c.out_channels)
    txt, pooled = randn(1, a.text, c.joint_attention_dim), randn(1, c.pooled_projection_dim)
    ids = torch.zeros(h // 2, w // 2, 3)
    ids[..., 1] += torch.arange(h // 2)[:, None]
    ids[..., 2] += torch.arange(w // 2)[None]
    ids, text_ids = ids.reshape(-1, 3), torch.zeros(a.text, 3)

    def step():
        optimizer.zero_grad()
        t = torch.sigmoid(torch.randn(1, generator=g))
        x_1 = torch.randn(x_0.shape, generator=g)
        x_t = ((1 - t) * x_0 + t * x_1).to(dtype)
        v = model(hidden_states=torch.cat((x_t, condition), dim=2), timestep=t, guidance=torch.ones_like(t),
                  pooled_projections=pooled, encoder_hidden_states=txt, txt_ids=text_ids, img_ids=ids, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(v.float(), x_1 - x_0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 0.5)
        optimizer.step()
        return loss.item()

    start_anew()  # loading does not count
    times, cpu, loss = [], [], 0
    for _ in range(a.steps + 1):  # the first is not counted
        start, cpu_start = time.perf_counter(), time.process_time()
        loss = step()
        times.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
    print(json.dumps(dict(program="diffusers + peft", dtype=a.dtype, checkpointing=bool(a.checkpointing),
                          seconds=round(sum(times[1:]) / a.steps, 3), cpu_seconds=round(sum(cpu[1:]) / a.steps, 3),
                          memory=status("VmHWM") - idle, loss=round(loss, 5))))


main()
