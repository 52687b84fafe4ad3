"""What compiled kernels give on a CPU whose registers are narrower than this one's, or in blocks for such."""

import os
import subprocess
import sys
from pathlib import Path

from impray.kernels.philox import LANES


def digest_on_haswell(module: str) -> str:
    """What `digest()` of a test module gives where numba compiles for haswell, which has AVX2 alone."""
    # numba takes features away by name; an empty list leaves what the named CPU has.
    narrow = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}
    named = "from numba.core.registry import cpu_target as c; print(c.target_context.codegen().magic_tuple()[1])"
    code = f"from {module} import digest; print(digest()); {named}"
    digest, cpu = _printed(code, narrow)
    assert cpu == "haswell"
    return digest


def digest_in_other_blocks(module: str, kernels: Path) -> str:
    """What `digest()` of a test module gives in the blocks that are for registers of the other width, on this CPU.

    kernels: a folder for what is compiled: numba knows kernels by the CPU, not by their constants.
    """
    others = "from impray.kernels import compiled; wide = compiled.wide_registers(); compiled.wide_registers = lambda: not wide"
    lanes = "from impray.kernels.philox import LANES; print(LANES)"
    digest, lanes = _printed(
        f"{others}; from {module} import digest; print(digest()); {lanes}", {"IMPRAY_KERNELS": str(kernels)}
    )
    assert int(lanes) != LANES
    return digest


def _printed(code: str, environment: dict[str, str]) -> list[str]:
    """The first two words that a program prints."""
    path = os.pathsep.join(["tests", *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split()[:2]
