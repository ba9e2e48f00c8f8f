"""Schedulers by name, and one way to run them all from noise or from an anchor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)

from riffusion.engines.stable.options import Scheduler
from riffusion.errors import InvalidInput

KINDS: dict[Scheduler, Any] = {
    "dpm++": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
    "ddim": DDIMScheduler,
    "pndm": PNDMScheduler,
    "euler": EulerDiscreteScheduler,
    "lcm": LCMScheduler,
    "tcd": TCDScheduler,
}
# What these would be without being asked is for images of pixels, or draws noise of its own.
FIXED: dict[Any, dict[str, Any]] = {
    DDIMScheduler: {"clip_sample": False},
    LCMScheduler: {"clip_sample": False},
    TCDScheduler: {"clip_sample": False},
    PNDMScheduler: {"skip_prk_steps": True},
    DPMSolverMultistepScheduler: {"algorithm_type": "dpmsolver++"},
}
THE_ORIGINALS = (DDIMScheduler, PNDMScheduler)


def scheduler_kind(name: Scheduler | None, config: Mapping[str, Any]) -> Any:
    """The class called ``name``, or that of a checkpoint's own configuration.

    A checkpoint whose own is none of ours (ancestral ones, which draw noise of their own, and
    historical ones) runs with DPM-Solver++.
    """
    if name is not None:
        return KINDS[name]
    own = {kind.__name__: kind for kind in KINDS.values()}
    return own.get(str(config.get("_class_name")), DPMSolverMultistepScheduler)


class Sampler:
    """One run of a scheduler over latents, from noise or from an anchor re-noised by ``strength``.

    Where the run begins is the original's arithmetic. With DDIM and PNDM it is followed to the
    letter, ``steps_offset`` included; the others came later and count from 0, and so does
    ``mixed``, the original's magic mix. Raises InvalidInput for more steps than the scheduler has.
    """

    def __init__(
        self,
        kind: Any,
        config: Mapping[str, Any],
        steps: int,
        strength: float | None,
        *,
        mixed: bool = False,
    ) -> None:
        self._scheduler = kind.from_config({**config, **FIXED.get(kind, {})})
        self._as_original = isinstance(self._scheduler, THE_ORIGINALS) and not mixed
        try:
            self._scheduler.set_timesteps(steps)
        except ValueError as error:
            raise InvalidInput("steps", steps, f"{kind.__name__} says: {error}") from error
        every = self._scheduler.timesteps
        self._from_noise = strength is None
        self._noise_at, start = every[:1], 0
        if strength is not None:
            offset = self._scheduler.config.get("steps_offset", 0) if self._as_original else 0
            noised_steps = min(int(steps * strength) + offset, steps)
            start = max(steps - noised_steps + offset, 0)
            self._noise_at = every[start:][:1] if mixed else every[-noised_steps:][:1]
        self.first = start
        self.timesteps = every[start:]
        if hasattr(self._scheduler, "set_begin_index"):
            self._scheduler.set_begin_index(start)

    def begin(self, anchor: torch.Tensor | None, noise: torch.Tensor) -> torch.Tensor:
        """The latents of the first step. An anchor with no steps to go stays as it is."""
        if anchor is None:
            return noise * float(self._scheduler.init_noise_sigma)
        if not len(self.timesteps):
            return anchor
        noised: torch.Tensor = self._scheduler.add_noise(anchor, noise, self._noise_at)
        return noised

    def network_input(self, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Latents in the scale that the network was trained on."""
        scaled: torch.Tensor = self._scheduler.scale_model_input(latents, timestep)
        return scaled

    def step(
        self,
        index: int,
        prediction: torch.Tensor,
        latents: torch.Tensor,
        draw: Callable[[], torch.Tensor],
    ) -> torch.Tensor:
        """Latents after step ``index``; ``draw`` gives noise to the one scheduler that needs it."""
        timestep = self.timesteps[index]
        # Without noise of its own (eta 0) in DDIM and TCD.
        extra = {"eta": 0.0} if isinstance(self._scheduler, DDIMScheduler | TCDScheduler) else {}
        after = self._scheduler.step(prediction, timestep, latents, **extra)
        if isinstance(self._scheduler, LCMScheduler):
            # It would draw from one seed, but noise walks between two.
            return self.noised(after.denoised, draw(), index)
        following: torch.Tensor = after.prev_sample
        return following

    def noised(self, clean: torch.Tensor, noise: torch.Tensor, index: int) -> torch.Tensor:
        """What is known, as noisy as the latents are after step ``index``; clean after the last."""
        if index + 1 == len(self.timesteps):
            return clean
        return self.noised_before(clean, noise, index + 1)

    def noised_mask(self, clean: torch.Tensor, noise: torch.Tensor, index: int) -> torch.Tensor:
        """The same for an anchor's mask. The original's is a step late with its own schedulers."""
        if not self._as_original:
            return self.noised(clean, noise, index)
        return self.noised_before(clean, noise, index)

    def noised_before(self, clean: torch.Tensor, noise: torch.Tensor, index: int) -> torch.Tensor:
        """What is known, as noisy as the latents are before step ``index``."""
        noised: torch.Tensor = self._scheduler.add_noise(
            clean, noise, self.timesteps[index : index + 1]
        )
        return noised
