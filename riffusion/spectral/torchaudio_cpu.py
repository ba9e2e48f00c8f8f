"""A hook that lets ``import torchaudio`` work on a PyTorch without CUDA.

torchaudio's wheel is a CUDA build: its compiled extension links to libc10_cuda.so, so on a
CPU-only PyTorch ``import torchaudio`` fails, and with it diffusers, which imports torchaudio when
it is installed. What we use of torchaudio is pure PyTorch. So a hook waits for the module that
loads the extension, lets it try, and only where that fails says "no extension" in its place.
Nothing is imported until someone imports torchaudio; on a CUDA machine the real one is used.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

EXTENSION = "torchaudio._extension"


def allow_cpu_only_torchaudio() -> None:
    """Install the hook, once. Call it before torchaudio, diffusers or transformers are imported."""
    if not any(isinstance(finder, _ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ExtensionFinder())


class _ExtensionFinder(MetaPathFinder):
    """Finds ``torchaudio._extension`` and wraps its loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != EXTENSION:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _OptionalExtension(spec.loader)
        return spec


class _OptionalExtension(Loader):
    """Runs the real module, or marks the extension as missing where its library fails to load."""

    def __init__(self, real: Loader) -> None:
        self._real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        try:
            self._real.exec_module(module)
        except (OSError, RuntimeError):  # a library is missing, or built for another CUDA
            vars(module).update(
                _IS_TORCHAUDIO_EXT_AVAILABLE=False,
                _IS_ALIGN_AVAILABLE=False,
                fail_if_no_align=module.fail_with_message("torchaudio has no compiled extension"),
            )
