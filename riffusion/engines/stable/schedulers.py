"""diffusers' schedulers by name, and one way to run them all from noise or from an anchor."""

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

SCHEDULER_CLASSES: dict[Scheduler, Any] = {
    "dpm++": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
    "ddim": DDIMScheduler,
    "pndm": PNDMScheduler,
    "euler": EulerDiscreteScheduler,
    "lcm": LCMScheduler,
    "tcd": TCDScheduler,
}
# Settings that checkpoints must not choose: the defaults are for images of pixels, or draw noise
# of their own.
FORCED_SETTINGS: dict[Any, dict[str, Any]] = {
    DDIMScheduler: {"clip_sample": False},
    LCMScheduler: {"clip_sample": False},
    TCDScheduler: {"clip_sample": False},
    PNDMScheduler: {"skip_prk_steps": True},
    DPMSolverMultistepScheduler: {"algorithm_type": "dpmsolver++"},
}
ORIGINAL_CLASSES = (DDIMScheduler, PNDMScheduler)


def choose_scheduler(name: Scheduler | None, config: Mapping[str, Any]) -> Any:
    """Return the scheduler class called ``name``, or that of a checkpoint's configuration.

    A checkpoint whose own scheduler is not supported (ancestral ones, which draw noise of their
    own, and historical ones) runs with DPM-Solver++.
    """
    if name is not None:
        return SCHEDULER_CLASSES[name]
    own = {kind.__name__: kind for kind in SCHEDULER_CLASSES.values()}
    return own.get(str(config.get("_class_name")), DPMSolverMultistepScheduler)


class Sampler:
    """One run of a scheduler over latents, from noise or from an anchor.

    An anchor is re-noised by ``strength``, 0 to 1; None starts from noise alone. The first step is
    where the original starts. With DDIM and PNDM its arithmetic is followed to the letter,
    ``steps_offset`` included; the other schedulers came later and count from 0, and so do runs
    with ``mixed``, the original's magic mix. ``timesteps`` are the steps to take, and ``first`` is
    the number of the first of them. Raises InvalidInput for more steps than the scheduler has.
    """

    def __init__(
        self,
        scheduler_class: Any,
        config: Mapping[str, Any],
        steps: int,
        strength: float | None,
        *,
        mixed: bool = False,
    ) -> None:
        forced = FORCED_SETTINGS.get(scheduler_class, {})
        self._scheduler = scheduler_class.from_config({**config, **forced})
        self._as_original = isinstance(self._scheduler, ORIGINAL_CLASSES) and not mixed
        try:
            self._scheduler.set_timesteps(steps)
        except ValueError as error:
            raise InvalidInput(
                "steps", steps, f"{scheduler_class.__name__} says: {error}"
            ) from error
        every = self._scheduler.timesteps
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
        """Return the latents of the first step. An anchor with no steps to go stays as it is."""
        if anchor is None:
            return noise * float(self._scheduler.init_noise_sigma)
        if not len(self.timesteps):
            return anchor
        noised: torch.Tensor = self._scheduler.add_noise(anchor, noise, self._noise_at)
        return noised

    def network_input(self, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Return latents in the scale that the network was trained on."""
        scaled: torch.Tensor = self._scheduler.scale_model_input(latents, timestep)
        return scaled

    def step(
        self,
        index: int,
        prediction: torch.Tensor,
        latents: torch.Tensor,
        draw: Callable[[], torch.Tensor],
    ) -> torch.Tensor:
        """Return the latents after step ``index``.

        ``prediction`` is the noise in ``latents``. ``draw`` returns new noise for the one
        scheduler that needs it.
        """
        timestep = self.timesteps[index]
        # With eta 0 DDIM and TCD add no noise of their own.
        extra = {"eta": 0.0} if isinstance(self._scheduler, DDIMScheduler | TCDScheduler) else {}
        after = self._scheduler.step(prediction, timestep, latents, **extra)
        if isinstance(self._scheduler, LCMScheduler):
            # The scheduler would draw noise from one seed, but ours walks between two.
            return self.noised(after.denoised, draw(), index)
        following: torch.Tensor = after.prev_sample
        return following

    def noised(self, clean: torch.Tensor, noise: torch.Tensor, index: int) -> torch.Tensor:
        """Return clean latents, made as noisy as those after step ``index``.

        After the last step they stay clean.
        """
        if index + 1 == len(self.timesteps):
            return clean
        return self.noised_before(clean, noise, index + 1)

    def noised_mask(self, clean: torch.Tensor, noise: torch.Tensor, index: int) -> torch.Tensor:
        """Return the latents that a mask keeps, made as noisy as those after step ``index``.

        With the original's own schedulers they are a step late, as they are in the original.
        """
        if not self._as_original:
            return self.noised(clean, noise, index)
        return self.noised_before(clean, noise, index)

    def noised_before(self, clean: torch.Tensor, noise: torch.Tensor, index: int) -> torch.Tensor:
        """Return clean latents, made as noisy as those before step ``index``."""
        noised: torch.Tensor = self._scheduler.add_noise(
            clean, noise, self.timesteps[index : index + 1]
        )
        return noised
