"""Ways to widen bfloat16 bits to float32, side by side on a matrix of the 3B's MLP.

python bench/widen_bf16.py
"""

import time

import numpy as np

WAYS = {
    "astype, shift": lambda raw: (raw.astype(np.uint32) << np.uint32(16)).view(np.float32),
    "astype, shift in place": lambda raw: np.left_shift(wide := raw.astype(np.uint32), 16, out=wide).view(
        np.float32
    ),
    "upper halves of zeros": lambda raw: _upper_halves(raw),
    "left_shift with dtype": lambda raw: np.left_shift(raw, 16, dtype=np.uint32).view(np.float32),
}


def _upper_halves(raw: np.ndarray) -> np.ndarray:
    halves = np.zeros((*raw.shape, 2), dtype="<u2")
    halves[..., 1] = raw
    return halves.view("<f4")[..., 0]


if __name__ == "__main__":
    raw = np.random.default_rng(0).integers(0, 0x7F80, (11008, 2048), dtype=np.uint16)
    want = WAYS["astype, shift"](raw)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(7):  # in turn, so that a noisy moment hits all
        for name, way in WAYS.items():
            start = time.perf_counter()
            got = way(raw)
            seconds[name].append(time.perf_counter() - start)
            assert np.array_equal(got, want)
    fastest = min(min(times) for times in seconds.values())
    for name, times in seconds.items():
        print(f"{name:24} {1e3 * min(times):6.1f} ms  {min(times) / fastest:4.1f} x")
