"""Search for the seed of `tiny`: print, best first, the seeds whose answer to the main job is worth freezing.

    python tools/search_tiny_seed.py 10000

A seed counts if the greedy answer ends by itself after 6 to 20 tokens, at least 5 of them different. The best has
the widest narrowest margin between best and second score, in standard deviations of the scores.
"""

import sys

import numpy as np
from make_tiny import PACKAGE, bfloat16_bits, tensor
from tqdm import tqdm

from qwen25vl.checkpoint.directory import Checkpoint
from qwen25vl.checkpoint.names import expected_shapes
from qwen25vl.checkpoint.safetensors import StoredTensor
from qwen25vl.checkpoint.weights import Weights
from qwen25vl.config import TINY
from qwen25vl.generate.answers import Answers
from qwen25vl.generate.settings import GREEDY, read_stop_ids
from qwen25vl.golden.main_job import MAIN_JOB
from qwen25vl.inputs import Inputs
from qwen25vl.model import Network
from qwen25vl.ops import REFERENCE
from qwen25vl.processor import read_processor
from qwen25vl.prompt.tokenizer import Tokenizer

HOPELESS = 0.15
"""A seed is dropped at the first step whose margin is below this."""


def narrowest_margin(seed: int, inputs: Inputs, *, answers: Answers, tokenizer: Tokenizer) -> float:
    """Decode the main job with the weights of a seed; 0 if it does not count."""
    tensors = {
        name: StoredTensor(name, "BF16", shape, bfloat16_bits(tensor(name, shape, seed=seed)))
        for name, shape in expected_shapes(TINY).items()
    }
    network = Network(TINY, Weights(Checkpoint(tensors, ()), np.dtype(np.float32)), REFERENCE)
    ids, narrowest = [], np.inf
    for step in next(answers.of(inputs, network, tokenizer)):
        second, best = np.sort(step.logits)[-2:]
        ids.append(step.id)
        narrowest = min(narrowest, (best - second) / step.logits.std())
        if narrowest < HOPELESS or (step.is_stop and len(ids) < 6):
            return 0.0
    return float(narrowest) if ids[-1] in answers.stop_ids and len(set(ids)) >= 5 else 0.0


def main(count: int) -> None:
    """Try the first `count` seeds."""
    processor = read_processor(PACKAGE / "tiny")
    inputs = processor.prepare(MAIN_JOB)
    answers = Answers(settings=GREEDY, stop_ids=read_stop_ids(PACKAGE / "tiny", TINY), max_new_tokens=20)
    margins = {
        seed: narrowest_margin(seed, inputs, answers=answers, tokenizer=processor.tokenizer)
        for seed in tqdm(range(count))
    }
    for seed in sorted(margins, key=margins.__getitem__, reverse=True)[:10]:
        print(f"seed {seed}: narrowest margin {margins[seed]:.3f} deviations")


if __name__ == "__main__":
    main(int(sys.argv[1]))
