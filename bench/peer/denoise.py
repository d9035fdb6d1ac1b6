"""The peer of bench_denoise: diffusers' transformer and scheduler in FluxFillPipeline's loop, same sizes, same threads.

    python bench/peer/denoise.py MODEL [--lora PATH] [--steps 8] [--runs 7] [--half 96] [--text 44] [--dtype f32] [--quant none|int8] [--threads 2]

int8: torchao's, of weights and activations (W8A8). Prints one JSON object; --profile adds the share of time in matrix products.
"""
import argparse
import json
import os
import statistics
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxFillPipeline, FluxTransformer2DModel
from diffusers.pipelines.flux.pipeline_flux_fill import calculate_shift, retrieve_timesteps
from diffusers.utils import logging

import resident

logging.set_verbosity_error()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("--lora")
    for name, value in dict(steps=8, runs=7, half=96, text=44, threads=2).items():
        ap.add_argument("--" + name, type=int, default=value)
    ap.add_argument("--dtype", default="f32", choices=["f32", "bf16"])
    ap.add_argument("--quant", default="none", choices=["none", "int8"])
    ap.add_argument("--profile", action="store_true")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    dtype = torch.float32 if a.dtype == "f32" else torch.bfloat16
    model = FluxTransformer2DModel.from_pretrained(a.model, subfolder="transformer", torch_dtype=dtype).eval()
    if a.quant == "int8":
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_
        quantize_(model, Int8DynamicActivationInt8WeightConfig())
    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(a.model, subfolder="scheduler")
    if a.lora:
        pipe = FluxFillPipeline(scheduler, None, None, None, None, None, model)
        pipe.load_lora_weights(a.lora)
    c = model.config
    h, w = a.half // 8, 2 * a.half // 8
    tokens = (h // 2) * (w // 2)
    g = torch.Generator().manual_seed(0)
    randn = lambda *s: torch.randn(s, generator=g).to(dtype)
    x0 = randn(1, tokens, c.out_channels)
    cond = randn(1, tokens, c.in_channels - c.out_channels)
    txt, pooled = randn(1, a.text, c.joint_attention_dim), randn(1, c.pooled_projection_dim)
    ids = torch.zeros(h // 2, w // 2, 3)
    ids[..., 1] += torch.arange(h // 2)[:, None]
    ids[..., 2] += torch.arange(w // 2)[None]
    ids, tids = ids.reshape(-1, 3).to(dtype), torch.zeros(a.text, 3, dtype=dtype)
    mu = calculate_shift(tokens)

    @torch.no_grad()
    def loop():
        timesteps, _ = retrieve_timesteps(scheduler, a.steps, "cpu", sigmas=np.linspace(1.0, 1 / a.steps, a.steps), mu=mu)
        guidance = torch.full([1], 50.0)
        x = x0
        for t in timesteps:
            v = model(hidden_states=torch.cat((x, cond), dim=2), timestep=t.expand(1).to(dtype) / 1000, guidance=guidance,
                      pooled_projections=pooled, encoder_hidden_states=txt, txt_ids=tids, img_ids=ids, return_dict=False)[0]
            x = scheduler.step(v, t, x, return_dict=False)[0]

    times, cpu = [], []
    for i in range(a.runs + 1):
        start, cpu_start = time.perf_counter(), time.process_time()
        loop()
        if i:
            times.append(time.perf_counter() - start)
            cpu.append(time.process_time() - cpu_start)
    out = dict(program="diffusers", steps=a.steps, dtype=a.dtype, ms_per_step=round(1e3 * statistics.median(times) / a.steps, 3),
               min=round(1e3 * min(times) / a.steps, 3), max=round(1e3 * max(times) / a.steps, 3),
               cpu_ms_per_step=round(1e3 * statistics.median(cpu) / a.steps, 3))
    resident.start_anew()
    loop()
    out["peak_bytes"] = resident.status("VmHWM")
    if a.profile:
        from torch.profiler import ProfilerActivity, profile
        with profile(activities=[ProfilerActivity.CPU]) as p:
            loop()
        events = p.key_averages()
        total = sum(e.self_cpu_time_total for e in events)
        products = sum(e.self_cpu_time_total for e in events if e.key in ("aten::addmm", "aten::mm", "aten::bmm", "aten::mkldnn_linear", "aten::baddbmm"))
        out["share_in_products"] = round(products / total, 3)
    print(json.dumps(out))


main()
