"""How much slower than BLAS are sums in a fixed order, and how long does compiling take?

python bench/strict.py

Products are made one after the other, in turn; medians of several rounds. A first pass is one over the main job,
in a process of its own: with an empty cache of machine code (cold), then once more (warm).
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numba
import numpy as np

from qwen25vl.strict.sums import product

SHAPES = {
    "3B, gate of 200 tokens": (200, 2048, 11008),
    "3B, down of 200 tokens": (200, 11008, 2048),
    "3B, vision qkv of 1000 patches": (1000, 1280, 3840),
    "3B, gate of one token": (1, 2048, 11008),
    "tiny, gate of 120 tokens": (120, 120, 173),
}
"""Rows, terms and outputs of products that a run makes."""

ROUNDS = 5

FIRST_PASS = """
import time
import qwen25vl
from qwen25vl.golden.case import Lab
from qwen25vl.golden.main_job import MAIN_JOB
lab = Lab(qwen25vl.load("tiny", precision="float64"))
inputs = lab.prepare(MAIN_JOB)
start = time.perf_counter()
from qwen25vl.strict.ops import strict_ops
imported = time.perf_counter()
lab = lab.with_ops(strict_ops())
lab.model.forward(inputs)
first = time.perf_counter()
lab.model.forward(inputs)
second = time.perf_counter()
print(f"import {imported - start:.2f} s, first pass {first - imported:.2f} s, second {second - first:.2f} s")
"""


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    print(f"threads: {numba.get_num_threads()}; float64")
    print(f"{'product':34} {'strict GF/s':>11} {'BLAS GF/s':>11} {'times as long':>14}")
    rng = np.random.default_rng(0)
    for name, (rows, terms, outputs) in SHAPES.items():
        x, weight = rng.standard_normal((rows, terms)), rng.standard_normal((outputs, terms))
        product(x, weight)  # compiled, or read from the cache
        pairs = [
            (seconds(lambda x=x, w=weight: product(x, w)), seconds(lambda x=x, w=weight: x @ w.T))
            for _ in range(ROUNDS)
        ]
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        work = 2e-9 * rows * terms * outputs
        print(f"{name:34} {work / ours:11.1f} {work / theirs:11.1f} {ours / theirs:14.1f}")
    with tempfile.TemporaryDirectory() as cache:
        for state in ("cold", "warm"):
            environment = os.environ | {"NUMBA_CACHE_DIR": cache}
            found = subprocess.run(
                [sys.executable, "-c", FIRST_PASS], env=environment, capture_output=True, text=True, check=True
            )
            print(f"{state}: {found.stdout.strip()}")


if __name__ == "__main__":
    main()
