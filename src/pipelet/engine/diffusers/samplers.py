"""Schedulers of diffusers, by the names that AUTOMATIC1111's web UI and its readers know."""

from typing import Any

_SAMPLERS = {
    "DDIMScheduler": "DDIM",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "EulerDiscreteScheduler": "Euler",
    "FlowMatchEulerDiscreteScheduler": "Euler",
    "FlowMatchHeunDiscreteScheduler": "Heun",
    "HeunDiscreteScheduler": "Heun",
    "KDPM2AncestralDiscreteScheduler": "DPM2 a",
    "KDPM2DiscreteScheduler": "DPM2",
    "LCMScheduler": "LCM",
    "LMSDiscreteScheduler": "LMS",
    "PNDMScheduler": "PLMS",
    "UniPCMultistepScheduler": "UniPC",
}
_MULTISTEP = {("dpmsolver++", 2): "DPM++ 2M", ("sde-dpmsolver++", 2): "DPM++ 2M SDE", ("dpmsolver++", 3): "DPM++ 3M"}
"""Names for a DPMSolverMultistepScheduler, by algorithm and order."""
_SCHEDULES = {
    "use_karras_sigmas": "Karras",
    "use_exponential_sigmas": "Exponential",
    "use_beta_sigmas": "Beta",
}


def sampler_of(scheduler: Any) -> str | None:
    """None where it has no name there."""
    name = type(scheduler).__name__
    if name == "DPMSolverMultistepScheduler":
        return _MULTISTEP.get((scheduler.config.get("algorithm_type"), scheduler.config.get("solver_order")))
    if name == "PNDMScheduler" and not scheduler.config.get("skip_prk_steps"):
        return None  # its first steps are of another kind
    if name == "FlowMatchEulerDiscreteScheduler" and scheduler.config.get("stochastic_sampling"):
        return None  # it adds noise in each step, which "Euler" does not
    return _SAMPLERS.get(name)


def schedule_type_of(scheduler: Any) -> str | None:
    """None for the scheduler's own noise levels."""
    config = getattr(scheduler, "config", {})
    return next((name for flag, name in _SCHEDULES.items() if config.get(flag)), None)
