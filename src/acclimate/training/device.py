"""Where and in which precision a model runs, and how many processes share the work."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from acclimate.errors import SettingsError
from acclimate.training.settings import Precision

MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


@dataclass(frozen=True)
class Place:
    """A device, a precision, and this process' share of each batch.

    Processes are those of torchrun or ``accelerate launch``. Accelerate's state is used for them and
    not its `Accelerator`: that one is a singleton with one precision for the life of a process.
    """

    device: torch.device
    precision: str
    rank: int = 0
    world: int = 1

    @property
    def share(self) -> slice:
        """The rows of a batch that belong to this process."""
        return slice(self.rank, None, self.world)

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision for a backbone's forward pass; parameters stay float32."""
        if self.precision == "fp32":
            return nullcontext()
        kind = torch.bfloat16 if self.precision == "bf16" else torch.float16
        return torch.autocast(self.device.type, dtype=kind)

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over the processes."""
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not gradients:
            return
        flat = torch.cat([g.reshape(-1) for g in gradients])
        torch.distributed.all_reduce(flat)
        flat /= self.world
        for g, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            g.copy_(part.view_as(g))

    def first(self, value: float) -> float:
        """The first process' value, in all of them: what the clock or a score decides must be the same everywhere."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(shared, 0)
        return shared.item()

    def largest(self, value: float) -> float:
        """The largest value of all processes."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
        return shared.item()

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            torch.distributed.barrier()


def place(device: str = "auto", precision: Precision = "auto") -> Place:
    """Find the device and precision, and join the other processes if there are any.

    Raises:
        SettingsError: a device that is not there, or a precision it does not have.
    """
    found = _device(device)
    rank, world = 0, int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        from accelerate import PartialState

        state = PartialState(cpu=found.type == "cpu")
        rank, world = state.process_index, state.num_processes
        found = found if found.type == "cpu" else state.device  # a CPU is never "cpu:1"
    if precision == "auto":
        precision = "bf16" if has_bf16(found) else "fp32"
    if precision == "fp16" and found.type == "cpu":
        raise SettingsError("precision fp16 is for GPUs; on a CPU use bf16 or fp32")
    return Place(found, precision, rank, world)


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(name)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"device '{name}' cannot be used: {reason}; `acclimate doctor` lists devices") from None
    return found


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is fast there: on a CPU only with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in the CPU's allocator."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in MEMORY_WORDS)
