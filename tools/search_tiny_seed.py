"""Search for the seed of `tiny`: print, best first, the seeds whose answer to the main job is worth freezing.

    python tools/search_tiny_seed.py 3000

A seed counts if the greedy answer ends by itself after 8 to 20 tokens and never says a word twice in a row.
Of those the best has the widest narrowest margin between the best and the second score, in units of the scores'
standard deviation, over every step of `tiny` and of the first 8 steps of `tiny-untied`.
"""

import sys
from dataclasses import replace

import numpy as np
from make_tiny import PACKAGE, bfloat16_bits, tensor
from tqdm import tqdm

from qwen25vl.checkpoint.directory import Checkpoint
from qwen25vl.checkpoint.names import expected_shapes
from qwen25vl.checkpoint.safetensors import StoredTensor
from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import TINY, Config
from qwen25vl.generate.greedy import Step, greedy_steps
from qwen25vl.generate.settings import read_stop_ids
from qwen25vl.golden.main_job import MAIN_JOB
from qwen25vl.inputs import Inputs
from qwen25vl.model import Network
from qwen25vl.ops import REFERENCE
from qwen25vl.processor import read_processor


def answer(config: Config, seed: int, inputs: Inputs, *, steps: int) -> list[Step]:
    """Decode the main job with the weights of a seed."""
    tensors = {
        name: StoredTensor(name, "BF16", shape, bfloat16_bits(tensor(name, shape, seed=seed)))
        for name, shape in expected_shapes(config).items()
    }
    weights = Weights(Checkpoint(tensors, ()), np.dtype(np.float32))
    stops = read_stop_ids(PACKAGE / "tiny", config)
    network = Network(config, weights, REFERENCE)
    return list(greedy_steps(inputs, network, stop_ids=stops, max_new_tokens=steps))


def narrowest_margin(steps: list[Step]) -> float:
    """Least distance from the best score to the second, in standard deviations of the scores."""
    tops = [np.sort(step.logits)[-2:] for step in steps]
    return min((top[1] - top[0]) / step.logits.std() for top, step in zip(tops, steps, strict=True))


def main(count: int) -> None:
    """Try the first `count` seeds."""
    inputs = read_processor(PACKAGE / "tiny").prepare(MAIN_JOB)
    found = []
    for seed in tqdm(range(count)):
        steps = answer(TINY, seed, inputs, steps=20)
        ids = [step.id for step in steps]
        if not steps[-1].is_stop or len(ids) < 8 or any(a == b for a, b in zip(ids, ids[1:], strict=False)):
            continue
        untied = answer(replace(TINY, tie_word_embeddings=False), seed, inputs, steps=8)
        found.append((min(narrowest_margin(steps), narrowest_margin(untied)), seed, len(ids)))
    for margin, seed, length in sorted(found, reverse=True)[:10]:
        print(f"seed {seed}: {length} tokens, narrowest margin {margin:.3f} deviations")


if __name__ == "__main__":
    main(int(sys.argv[1]))
