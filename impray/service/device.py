"""The device of a process that trains, and its memory."""

from __future__ import annotations

import ctypes
import os

import torch

from impray.spec.errors import Problem, SweepError


def _keep_memory() -> None:
    """Ask glibc to keep freed memory: a step's temporaries of some MB would be handed back, and their pages cleared, every time
    (32 neurons at batch 1,000 with samples of their own: 24 % of the time). Elsewhere than on glibc nothing happens."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, its maximum
    mallopt(-1, 256 << 20)  # M_TRIM_THRESHOLD


def use_device(cpus: float, gpus: float) -> torch.device:
    """Pin torch to the CPUs that were given and choose the device; called once per process that trains.

    Oversubscribed threads cost 30 to 50 times (one thread per CPU given, at least one).

    Raises:  SweepError: a GPU was asked for and torch sees none.
    """
    torch.set_num_threads(max(1, int(cpus)))
    _keep_memory()
    if gpus > 0 and not torch.cuda.is_available():
        raise SweepError(
            "impray sweep", [Problem("resources.gpu", f"{gpus:g}", "torch sees no GPU here; 0 runs on the CPU")]
        )
    if gpus > 0:
        os.environ["IMPRAY_DEVICE"] = torch.cuda.get_device_name(0)
        return torch.device("cuda", 0)
    os.environ["IMPRAY_DEVICE"] = "cpu"
    return torch.device("cpu")
