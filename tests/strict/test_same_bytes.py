"""Section 15: a run of the golden path has the same bytes on other processors and with other numbers of threads.

Other processors are pretended: OpenBLAS, NumPy and Numba each let an environment variable choose instructions.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

CODE = """
import hashlib
import numpy as np
import qwen25vl
from qwen25vl.golden.case import Lab
from qwen25vl.golden.main_job import MAIN_JOB
from qwen25vl.ops import reference_ops
from qwen25vl.precision import FLOAT64
from qwen25vl.strict.ops import strict_ops
from qwen25vl.tap import Tap

lab = Lab(qwen25vl.load("tiny", precision="float64"))
inputs = lab.prepare(MAIN_JOB)
for ops in (strict_ops(), reference_ops(FLOAT64)):
    digest = hashlib.sha256()
    tap = Tap("all", sink=lambda name, array: digest.update(name.encode() + np.ascontiguousarray(array).tobytes()))
    digest.update(lab.with_ops(ops).model.forward(inputs, taps=tap).logits.tobytes())
    print(digest.hexdigest())
"""

NEWEST = "X86_V4,AVX512_ICL,AVX512_SPR"
"""NumPy's sets of instructions with registers of 512 bits."""

ENVIRONMENTS = {
    "two threads": {"NUMBA_NUM_THREADS": "2"},
    "Prescott": {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": f"X86_V3,{NEWEST}"},
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": NEWEST, "NUMBA_CPU_NAME": "haswell"},
    "Zen": {"OPENBLAS_CORETYPE": "Zen", "NUMBA_CPU_NAME": "znver2"},
    "any x86-64": {"OPENBLAS_CORETYPE": "Nehalem", "NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""},
}
"""By what is pretended."""

OF_EVERY_DAY = ("two threads", "Prescott", "Haswell")
"""The others take the nightly profile."""


def features():
    """Names of the instruction sets that this NumPy can be told to leave out."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return {name for name in __cpu_dispatch__ if __cpu_features__.get(name)}


def hashes(environment, cache):
    """Hash all taps of the main job, by strict arithmetic and by BLAS, in another process."""
    chosen = dict(environment)
    if "NPY_DISABLE_CPU_FEATURES" in chosen:
        known = [name for name in chosen["NPY_DISABLE_CPU_FEATURES"].split(",") if name in features()]
        chosen["NPY_DISABLE_CPU_FEATURES"] = ",".join(known)
    if "NUMBA_CPU_NAME" in chosen:
        chosen["NUMBA_CACHE_DIR"] = str(cache)
    found = subprocess.run(
        [sys.executable, "-c", CODE],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | chosen,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.split()


@pytest.mark.xdist_group("same bytes")
def test_x18_a_run_has_the_same_bytes_on_every_processor(tmp_path):
    nightly = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
    strict, blas = hashes({"NUMBA_NUM_THREADS": "1"}, tmp_path)
    others = []
    for name, environment in ENVIRONMENTS.items():
        if nightly or name in OF_EVERY_DAY:
            found, other = hashes(environment, tmp_path / name)
            assert found == strict, name
            others.append(other)
    if features():  # else there is only one kind of arithmetic on this machine
        assert set(others) != {blas}, "the environments change nothing: they cannot show anything"


def test_x18_frequencies_do_not_hang_on_the_last_bit_of_a_power():
    """NumPy's power may be a bit off in float64; rounded to float32 that shows only next to a tie."""
    for width, theta in ((40, 1e4), (20, 1e4), (128, 1e6), (20, 1e6)):
        exponent = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
        power = np.power(np.float64(theta), exponent.astype(np.float64))
        for near in (np.nextafter(power, 0), np.nextafter(power, np.inf)):
            np.testing.assert_array_equal(near.astype(np.float32), power.astype(np.float32))
