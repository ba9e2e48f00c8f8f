"""torchaudio and diffusers import on any PyTorch, and a working extension is left alone."""

from __future__ import annotations

import subprocess
import sys
from importlib.abc import Loader
from types import ModuleType

import pytest

from riffusion.spectral.torchaudio_cpu import (
    _ExtensionFinder,
    _OptionalExtension,
    allow_cpu_only_torchaudio,
)

IMPORTS = """
import sys
import riffusion
assert "torch" not in sys.modules, "importing riffusion is to cost nothing"
import torchaudio
import diffusers
torchaudio.functional.melscale_fbanks(257, 0.0, 8000.0, 40, 16000)
"""


def test_torchaudio_and_diffusers_can_be_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_hook_is_installed_once() -> None:
    allow_cpu_only_torchaudio()
    allow_cpu_only_torchaudio()
    assert sum(isinstance(finder, _ExtensionFinder) for finder in sys.meta_path) == 1


class Extension(Loader):
    """torchaudio's loader of its extension, on a machine where it works or fails."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["fail_with_message"] = lambda message: message
        if self.failure is not None:
            raise self.failure
        vars(module)["_IS_TORCHAUDIO_EXT_AVAILABLE"] = True


@pytest.mark.parametrize(
    ("failure", "available"),
    [
        (None, True),
        (OSError("libc10_cuda.so: cannot open shared object file"), False),
        (RuntimeError("compiled with different CUDA versions"), False),
    ],
)
def test_the_extension_is_used_where_it_loads(failure: Exception | None, available: bool) -> None:
    module = ModuleType("torchaudio._extension")
    _OptionalExtension(Extension(failure)).exec_module(module)
    assert vars(module)["_IS_TORCHAUDIO_EXT_AVAILABLE"] is available


def test_other_mistakes_are_not_hidden() -> None:
    with pytest.raises(SyntaxError):
        _OptionalExtension(Extension(SyntaxError())).exec_module(ModuleType("broken"))
