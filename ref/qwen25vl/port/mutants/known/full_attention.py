"""Known bugs of the list of full-attention blocks (section 07)."""

from collections.abc import Iterator

from qwen25vl.config import MOST_BLOCKS
from qwen25vl.port.mutants.mutant import NumberSwap, known_bug


@known_bug(
    "all-blocks-full",
    mechanism="full-attention list",
    clauses=("W11",),
    symptom="Pictures are described well, boxes and reading are off; large pictures need far more time and "
    "memory.",
    cause="The encoder of Qwen2-VL, which has no windows, is used for Qwen2.5-VL; or the boundaries of windows "
    "do not reach the kernel.",
    hidden_by="Pictures of one window: up to 112 pixels a side.",
    fix="Blocks that `fullatt_block_indexes` does not name attend within windows.",
    threads=("NVIDIA/TensorRT-Model-Connect#191", "lablup/mlxcel#866"),
    versions="transformers 4.53.0 with flash_attention_2, probably (read, not run)",
)
def all_blocks_full() -> Iterator[NumberSwap]:
    yield NumberSwap("vision.full_attention_blocks", lambda right: tuple(range(MOST_BLOCKS)))


@known_bug(
    "full-blocks-windowed",
    mechanism="full-attention list",
    clauses=("W11",),
    symptom="Details are right, the whole is not: what spans windows, such as long lines and large objects, is "
    "misread.",
    cause="The list is empty in a converted file, holds numbers beyond the depth, or is compared with a block's "
    "name, a text, so that no block is ever in it.",
    hidden_by="Pictures of one window: up to 112 pixels a side.",
    fix="Blocks 7, 15, 23 and 31 of a release attend over whole frames; compare numbers with numbers.",
    threads=("nvidia-cosmos/cosmos-rl#171", "ollama/ollama#16868", "huggingface/trl#5805"),
)
def full_blocks_windowed() -> Iterator[NumberSwap]:
    yield NumberSwap("vision.full_attention_blocks", lambda right: ())


@known_bug(
    "full-blocks-periodic",
    mechanism="full-attention list",
    clauses=("W11",),
    symptom="None with a release; a checkpoint with an uneven list is read wrong.",
    cause="The list is stored as one number, `every eighth`, and made again from it.",
    hidden_by="Every released config, whose list is 7, 15, 23, 31.",
    fix="Keep the list.",
    threads=("ggml-org/llama.cpp#12402", "ggml-org/llama.cpp#18479"),
)
def full_blocks_periodic() -> Iterator[NumberSwap]:
    def every_so_many(blocks: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(range(blocks[0], blocks[-1] + 1, blocks[0] + 1)) if blocks else ()

    yield NumberSwap("vision.full_attention_blocks", every_so_many)


@known_bug(
    "segments-swapped",
    mechanism="full-attention list",
    clauses=("W11",),
    symptom="Boxes and reading fail, though both kinds of block seem to work.",
    cause="The boundaries of frames and of windows are handed over in exchanged order.",
    hidden_by="Pictures of one window: up to 112 pixels a side.",
    fix="Blocks in the list take the frames' boundaries, all others the windows'.",
    threads=("alibaba/Pai-Megatron-Patch#552", "alibaba/Pai-Megatron-Patch#554"),
)
def segments_swapped() -> Iterator[NumberSwap]:
    yield NumberSwap(
        "vision.full_attention_blocks",
        lambda right: tuple(i for i in range(MOST_BLOCKS) if i not in right),
    )
