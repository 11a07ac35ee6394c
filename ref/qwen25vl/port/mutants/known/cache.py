"""Known bugs of the cache: what is kept of earlier tokens, how it is cut, and who may see it (section 10)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qwen25vl.inputs import Inputs
from qwen25vl.ops import Ops
from qwen25vl.port.mutants.known._keys import key_memory
from qwen25vl.port.mutants.mutant import OpsSwap, Swap, known_bug
from qwen25vl.rounding import to_bfloat16


@known_bug(
    "cache-unrotated-keys",
    mechanism="delta and cache",
    clauses=("D7", "D8"),
    symptom="The first token is right, and the answer falls apart behind it.",
    cause="Keys come out of the cache turned, are joined with the new ones, and all are turned; or they are kept "
    "as they were, and turned by their place in the cache.",
    hidden_by="One pass over a whole prompt, where nothing comes out of the cache.",
    fix="Turn a key once, by its own position, before it is kept; turn nothing that comes out.",
)
def cache_unrotated_keys() -> Iterator[Swap]:
    known, keep = key_memory()

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def decoder_attention(
            x: np.ndarray,
            cos: np.ndarray,
            sin: np.ndarray,
            past_keys: np.ndarray,
            *rest: Any,
            ops: Ops,
            **settings: Any,
        ) -> Any:
            unturned = np.stack([np.ones_like(cos[0]), np.zeros_like(sin[0])])
            angles = known(past_keys, otherwise=unturned)  # [past, 2, d]
            again = ops.rotated_in_steps(past_keys, angles[:, 0], angles[:, 1])
            out, keys, values = right(x, cos, sin, again, *rest, ops=ops, **settings)
            keep(keys, np.concatenate([angles, np.stack([cos, sin], axis=1)]))
            return out, keys, values

        return decoder_attention

    yield Swap("language.attention.decoder_attention", by)


@known_bug(
    "cache-in-16-bits",
    mechanism="delta and cache",
    clauses=("N1", "D7"),
    symptom="Decoding differs from one pass over the same tokens, a little; or, where the types are mixed up, "
    "altogether.",
    cause="The buffer of keys and values has a type of its own, which the run's precision does not reach.",
    hidden_by="The first token of an answer, and every run in bfloat16.",
    fix="Keep keys and values in the precision of the run; compare steps with a pass over all tokens.",
    threads=("NVIDIA/TensorRT-Model-Connect#184",),
    unseen={"bfloat16": "Keys and values are numbers of bfloat16 there already: not one of them changes."},
)
def cache_in_16_bits() -> Iterator[Swap]:
    def kept(array: np.ndarray) -> np.ndarray:
        return to_bfloat16(array.astype(np.float32)).astype(array.dtype)

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        def decoder_attention(*arguments: Any, **settings: Any) -> Any:
            out, keys, values = right(*arguments, **settings)
            return out, kept(keys), kept(values)

        return decoder_attention

    yield Swap("language.attention.decoder_attention", by)


@known_bug(
    "cache-stale",
    mechanism="delta and cache",
    clauses=("D15",),
    symptom="The second question of a session is answered as if the first were still asked.",
    cause="A slot goes on behind what it holds, and is not cut back to what both prompts begin with.",
    hidden_by="The first prompt of a process, and a conversation that only grows.",
    fix="Cut keys and values to the common beginning before anything new is run.",
)
def cache_stale() -> Iterator[Swap]:
    yield Swap("language.cache.Cache.first", lambda right: lambda cache, count: cache)


@known_bug(
    "cache-cut-by-positions",
    mechanism="delta and cache",
    clauses=("D11", "D15"),
    symptom="A later turn has lost the end of the turn before, or sees tokens that were taken back; with text "
    "alone all is well.",
    cause="A cache is cut by a number of tokens where it counts positions, or the other way round. In text the "
    "two are equal; ten tokens of a picture take five positions.",
    hidden_by="Conversations without a picture, and a cut in front of the first picture.",
    fix="Count tokens for what is kept, and positions for the rotation alone.",
    threads=("ggml-org/llama.cpp#22439",),
)
def cache_cut_by_positions() -> Iterator[Swap]:
    prompts: list[Inputs] = []

    def remembered(right: Callable[..., Any]) -> Callable[..., Any]:
        def shared_length(earlier: Inputs, inputs: Inputs, **settings: Any) -> Any:
            prompts[:] = [inputs]
            return right(earlier, inputs, **settings)

        return shared_length

    def by(right: Callable[..., Any]) -> Callable[..., Any]:
        return lambda cache, count: right(cache, int(prompts[0].positions[0, 0, count]) if prompts else count)

    yield Swap("reuse.shared_length", remembered)
    yield Swap("language.cache.Cache.first", by)


@known_bug(
    "prefix-by-ids",
    mechanism="delta and cache",
    clauses=("D15",),
    symptom="The second picture is answered with the first one's description.",
    cause="A cache of prefixes compares ids, and the pads of every picture are one id.",
    hidden_by="Pictures of different sizes: their numbers of pads differ.",
    fix="Compare the pixels, too, or put a hash of each picture into the key.",
    threads=(
        "sgl-project/sglang#5455",
        "sgl-project/sglang-omni#146",
        "vllm-project/vllm#11187",
        "vllm-project/vllm#20261",
    ),
)
def prefix_by_ids() -> Iterator[Swap]:
    yield Swap("reuse._changed_media", lambda right: lambda earlier, inputs, *, config: iter(()))


@known_bug(
    "chunk-mask",
    mechanism="chunks",
    clauses=("D4", "D8", "D14"),
    symptom="Long prompts, and later turns, are answered from their last piece alone; short ones are right.",
    cause="The causal mask of a piece is made for its own tokens, without the columns of what is in the cache.",
    hidden_by="Prompts that fit one piece: 512 or 2048 tokens by default.",
    fix="A token of a piece sees the whole cache, the piece up to itself, and nothing else.",
)
def chunk_mask() -> Iterator[Swap | OpsSwap]:
    decoding: list[bool] = []

    def decoded(right: Callable[..., Any]) -> Callable[..., Any]:
        def decode_step(*arguments: Any, **settings: Any) -> Any:
            decoding.append(True)
            try:
                return right(*arguments, **settings)
            finally:
                decoding.pop()

        return decode_step

    def by(right: Ops) -> Callable[..., np.ndarray]:
        def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, *, allowed: Any = None, **s: Any) -> np.ndarray:
            if allowed is not None and not decoding:
                allowed = allowed & (np.arange(len(k)) >= len(k) - len(q))
            return right.attention(q, k, v, allowed=allowed, **s)

        return attention

    yield Swap("model.decode_step", decoded)
    yield OpsSwap("attention", by)
