"""DPMSolverMultistepScheduler with flow sigmas (dpmsolver++, order 2, midpoint), on the sigmas that FluxFillPipeline gives its own scheduler."""
from common import *


def main():
    ctx = start(__file__)
    from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler
    from diffusers.pipelines.flux.pipeline_flux_fill import calculate_shift, retrieve_timesteps
    t = {}
    for tokens, n in ((1024, 1), (2048, 8)):
        flow = FlowMatchEulerDiscreteScheduler.from_pretrained(ctx.ckpt / "scheduler")
        mu = calculate_shift(tokens, flow.config.base_image_seq_len, flow.config.max_image_seq_len, flow.config.base_shift, flow.config.max_shift)
        retrieve_timesteps(flow, n, "cpu", sigmas=np.linspace(1.0, 1 / n, n), mu=mu)
        s = DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, algorithm_type="dpmsolver++", solver_order=2, solver_type="midpoint")
        s.set_timesteps(n)
        s.sigmas, s.timesteps = flow.sigmas.clone(), flow.timesteps.clone()
        s.set_begin_index(0)
        name = f"{tokens}x{n}"
        g = gen(ctx.seed, "solver", name)
        x = randn(g, 2, 6, 8)
        t[name + ".sigmas"], t[name + ".sample.0"] = s.sigmas, x
        for i, ts in enumerate(s.timesteps):
            v = randn(g, 2, 6, 8)
            x = s.step(v, ts, x, return_dict=False)[0]
            t[f"{name}.model_output.{i}"], t[f"{name}.sample.{i + 1}"] = v, x
    ctx.save("scheduler/dpmpp_2m.safetensors", t, "TOKENSxSTEPS.sigmas, .sample.0, and after every step on random model outputs the sample, by DPM-Solver++ (2M)")


main()
