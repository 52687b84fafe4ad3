"""What compiled kernels give on a CPU whose registers are narrower than this one's."""

import os
import subprocess
import sys


def digest_on_haswell(module: str) -> str:
    """What `digest()` of a test module gives where numba compiles for haswell, which has AVX2 alone."""
    # numba takes features away by name; an empty list leaves what the named CPU has.
    narrow = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}
    named = "from numba.core.registry import cpu_target as c; print(c.target_context.codegen().magic_tuple()[1])"
    code = f"from {module} import digest; print(digest()); {named}"
    path = os.pathsep.join(["tests", *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **narrow, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    digest, cpu = run.stdout.split()[:2]
    assert cpu == "haswell"
    return digest
