"""A denoising step of diffusers' transformer by OpenVINO on the CPU, as bench_denoise times ours.

    python bench/peer/openvino_step.py MODEL [--quant none|int8] [--half 512] [--text 512] [--runs 3] [--threads 2]

int8: nncf's post-training quantisation of products and their inputs, model type "transformer", calibrated on one random input,
which is enough for a timing. Shapes are static: with dynamic ones OpenVINO's int8 crashes on CPUs with AMX. Prints one JSON object."""
import argparse
import json
import statistics
import time

import openvino as ov
import torch
from diffusers import FluxTransformer2DModel

import resident


class Step(torch.nn.Module):
    def __init__(self, model, ids, text_ids):
        super().__init__()
        self.model, self.ids, self.text_ids = model, ids, text_ids

    def forward(self, x, text, pooled, t, guidance):
        return self.model(hidden_states=x, encoder_hidden_states=text, pooled_projections=pooled, timestep=t, guidance=guidance,
                          img_ids=self.ids, txt_ids=self.text_ids, return_dict=False)[0]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("--quant", default="none", choices=["none", "int8"])
    for name, value in dict(half=512, text=512, runs=3, threads=2).items():
        ap.add_argument("--" + name, type=int, default=value)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    model = FluxTransformer2DModel.from_pretrained(a.model, subfolder="transformer", torch_dtype=torch.float32).eval()
    c = model.config
    h, w = a.half // 16, 2 * a.half // 16
    torch.manual_seed(0)
    ids = torch.zeros(h, w, 3)
    ids[..., 1] += torch.arange(h)[:, None]
    ids[..., 2] += torch.arange(w)[None]
    inputs = (torch.randn(1, h * w, c.in_channels), torch.randn(1, a.text, c.joint_attention_dim),
              torch.randn(1, c.pooled_projection_dim), torch.tensor([0.5]), torch.tensor([50.0]))
    step = Step(model, ids.reshape(-1, 3), torch.zeros(a.text, 3))
    with torch.no_grad():
        converted = ov.convert_model(step, example_input=inputs, input=[tuple(i.shape) for i in inputs])
    del model, step
    arrays = [i.numpy() for i in inputs]
    if a.quant == "int8":
        import nncf
        converted = nncf.quantize(converted, nncf.Dataset([arrays]), model_type=nncf.ModelType.TRANSFORMER, subset_size=1)
    compiled = ov.Core().compile_model(converted, "CPU", {"INFERENCE_NUM_THREADS": a.threads, "NUM_STREAMS": 1,
                                                          "INFERENCE_PRECISION_HINT": "bf16"})
    request = compiled.create_infer_request()
    seconds = []
    for _ in range(a.runs + 1):
        start = time.perf_counter()
        request.infer(arrays)
        seconds.append(time.perf_counter() - start)
    del converted
    resident.start_anew()
    request.infer(arrays)
    print(json.dumps({"program": "openvino", "quant": a.quant, "ms_per_step": 1e3 * statistics.median(seconds[1:]),
                      "min": 1e3 * min(seconds[1:]), "peak_bytes": resident.status("VmHWM"), "threads": a.threads}))


if __name__ == "__main__":
    main()
