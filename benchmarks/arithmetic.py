"""The arithmetic limit of the machine: products a second, and how many a clip needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from benchmarks.report import Row, count_cores
from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.protocol import Engine
from riffusion.jam.settings import JamSettings
from riffusion.networks.int8 import Int8Linear, is_available

# A product large enough that its operands' way from memory does not count.
SIZE = 1024
MEASURED_S = 0.5
GIGA = 1e9


@dataclass
class Counter:
    """Floating-point operations of layers; a multiplication and an addition are two."""

    flop: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Count the product of a linear layer that has just run, and attention after queries."""
        if not isinstance(module, nn.Linear | Int8Linear):
            return
        width = inputs[0].shape[-1]
        flop = 2 * output.numel() * width
        if output.shape[-1] == 3 * width:
            # Of queries, keys and values: each token with each, for the weights and for the values.
            tokens = output.shape[-2]
            flop += 4 * (output.numel() // output.shape[-1]) * tokens * width
        with self.lock:
            self.flop += flop


def count_clip_gflop(engine: Engine, quality: str) -> float:
    """Return the GFLOP of a clip of the page's default settings, counted layer by layer."""
    settings = JamSettings(Prompt("church bells", 1), Prompt("electronic beats", 2))
    settings = settings.changed({"quality": quality})
    request: ClipRequest = settings.request(0.5, 1, 2)
    engine.generate([request])  # what is remembered of a prompt is not counted
    counter = Counter()
    hook = nn.modules.module.register_module_forward_hook(counter.add)
    try:
        engine.generate([request])
    finally:
        hook.remove()
    return counter.flop / GIGA


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let operations of this thread run on so many cores inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure_products() -> dict[tuple[str, int], float]:
    """Return GFLOP/s of products of each kind, on one thread and on two if there are as many."""
    counts = [count for count in (1, 2) if count <= count_cores()]
    return {
        (kind, count): time_product(product, count)
        for kind, product in make_products().items()
        for count in counts
    }


def make_products() -> dict[str, Callable[[], torch.Tensor]]:
    """Return products of square matrices: float32, bfloat16 and the 8 bits of the engine."""
    a, b = torch.randn(2, SIZE, SIZE)
    half_a, half_b = a.bfloat16(), b.bfloat16()
    products = {"float32": lambda: a @ b, "bfloat16": lambda: half_a @ half_b}
    if is_available():
        linear = Int8Linear(nn.Linear(SIZE, SIZE))
        products["8 bits"] = lambda: linear(a)
    return products


@torch.inference_mode()
def time_product(product: Callable[[], torch.Tensor], count: int) -> float:
    """Return the GFLOP/s of a product on ``count`` threads: the best run within half a second."""
    with threads(count):
        product()
        best, begin = float("inf"), time.perf_counter()
        while time.perf_counter() - begin < MEASURED_S:
            start = time.perf_counter()
            product()
            best = min(best, time.perf_counter() - start)
    return 2 * SIZE**3 / best / GIGA


def summarise_limit(
    products: dict[tuple[str, int], float], clip_gflop: dict[str, float], clip_s: dict[str, float]
) -> list[Row]:
    """Return rows of the products, the work of a clip, and the share of the limit that is reached.

    ``clip_s`` has the seconds in which a clip of each quality was denoised. Live clips are compared
    with products in 8 bits on one thread, which is what they use, and fine ones with float32.
    """
    rows = [
        Row(f"products in {kind}, {count} thread{'s' * (count > 1)}", speed, "GFLOP/s")
        for (kind, count), speed in products.items()
    ]
    most = max(count for _, count in products)
    kinds = {kind for kind, _ in products}
    limits = {
        "live": ("8 bits" if "8 bits" in kinds else "float32", 1),
        "fine": ("float32", most),
    }
    for quality, gflop in clip_gflop.items():
        reached = gflop / clip_s[quality]
        limit = products[limits[quality]]
        kind, count = limits[quality]
        note = f"of products in {kind} on {count} thread{'s' * (count > 1)}"
        rows += [
            Row(f"a {quality} clip", gflop, "GFLOP", "", "linear layers and attention"),
            Row(f"its denoising, {quality}", reached, "GFLOP/s"),
            Row(f"share of the limit, {quality}", 100 * reached / limit, "%", "", note),
        ]
    return rows
