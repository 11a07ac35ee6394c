"""Section 15 - carrying a run out: which parts does a forward pass give?"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from qwen25vl.api import Model, Output
from qwen25vl.generate.answer import Step
from qwen25vl.generate.answers import Generation
from qwen25vl.golden.case import Part, Run
from qwen25vl.inputs import Inputs
from qwen25vl.media.clip import decoded_frames
from qwen25vl.model import Past, decode_step, vocabulary_scores
from qwen25vl.tap import Tap


def given_parts(run: Run) -> Iterator[Part]:
    """Give what the model is given, and the pictures and clips it comes from.

    One prompt alone has no batch axis. `inputs.before.*` is an earlier prompt.

    Spec: spec/15-golden-values.md (X2)
    """
    yield from _prompt_parts(run.inputs, scope="inputs.")
    yield from _media_parts(run.inputs, scope="inputs.")
    if run.before is not None:
        yield from _prompt_parts(run.before, scope="inputs.before.")
        yield from _media_parts(replace(run.before, pictures=(), clips=()), scope="inputs.before.")


def _prompt_parts(inputs: Inputs, *, scope: str) -> Iterator[Part]:
    """Give ids and positions; of one prompt without the batch axis, of several with it and with the mask."""
    ids, where = "token ids, pads expanded", "time, height and width position of each token"
    delta = "a token at index i behind the prompt has position i + delta"
    if len(inputs.ids) == 1:
        yield Part(f"{scope}ids", inputs.ids[0], "L", ids, "04")
        yield Part(f"{scope}positions", inputs.positions[:, 0], "3 L", where, "09")
        yield Part(f"{scope}delta", inputs.delta, "1", delta, "09")
        return
    yield Part(f"{scope}ids", inputs.ids, "B L", ids, "04")
    yield Part(f"{scope}mask", inputs.mask, "B L", "false on padding", "04")
    counts = np.array(inputs.media_counts, dtype=np.int64).reshape(-1, 2)
    yield Part(f"{scope}media_counts", counts, "B 2", "pictures and videos of each prompt", "04")
    yield Part(f"{scope}positions", inputs.positions, "3 B L", where, "09")
    yield Part(f"{scope}delta", inputs.delta, "B", delta, "09")


def _media_parts(inputs: Inputs, *, scope: str) -> Iterator[Part]:
    """Give pixel rows and grids, and the pictures and clips before them."""
    rows, grids = "pixel rows of all {}, merge-block order", "T, H, W of each {}, in patches"
    yield Part(f"{scope}image_rows", inputs.image_rows, "P C", rows.format("pictures"), "02")
    yield Part(f"{scope}image_grids", inputs.image_grids, "images 3", grids.format("picture"), "02")
    if len(inputs.video_grids):
        seconds = "seconds that a row of T spans"
        yield Part(f"{scope}video_rows", inputs.video_rows, "P C", rows.format("videos"), "03")
        yield Part(f"{scope}video_grids", inputs.video_grids, "videos 3", grids.format("video"), "03")
        yield Part(f"{scope}second_per_grid", inputs.second_per_grid, "videos", seconds, "03")
    for i, picture in enumerate(inputs.pictures):
        name = f"{scope}pictures.{i:02d}"
        yield Part(f"{name}.rgb", picture.rgb, "height width 3", "the picture as decoded", "02")
        yield Part(f"{name}.resized", picture.resized, "height width 3", "the picture as resized", "02")
    for i, clip in enumerate(inputs.clips):
        name, size = f"{scope}clips.{i:02d}", "frames height width 3"
        yield Part(f"{name}.indices", clip.indices, "frames", "number of each frame in the source", "03")
        yield Part(f"{name}.rgb", np.stack([*decoded_frames(clip)]), size, "the chosen frames as decoded", "03")
        yield Part(f"{name}.resized", clip.resized, size, "the chosen frames as resized", "03")


def carried_out(
    run: Run, model: Model, *, tap: Tap, follow: Mapping[str, np.ndarray] | None = None
) -> tuple[list[Part], list[Generation]]:
    """Run the prompts, then their answers.

    Args:
        run: what is to be run.
        model: in the precision and the arithmetic of the result.
        tap: listens while the prompts run.
        follow: parts `answer.ids` of an earlier run; where given, its tokens are followed instead of the best.

    Returns:
        The parts `answer.*` (in a batch behind `rows.NN.`), and the answers themselves unless `follow` is given.

    Spec: spec/15-golden-values.md (X3, X4)
    """
    before = None if run.before is None else model.forward(run.before)
    output = model.forward(run.inputs, taps=tap, chunk=run.chunk, after=before)
    if not run.answer_tokens:
        return [], []
    parts, answers = [], []
    for b, past in enumerate(output.rows):
        scope = f"rows.{b:02d}." if len(output.rows) > 1 else ""
        if follow is None:
            found, answer = _best_answer(model, past, output, b=b, limit=run.answer_tokens)
            answers.append(answer)
        else:
            last = int(np.flatnonzero(run.inputs.mask[b])[-1])
            found = _followed(model, past, output.logits[b, last], ids=follow[f"{scope}answer.ids"])
        parts += [replace(part, id=scope + part.id) for part in found]
    return parts, answers


def _best_answer(model: Model, past: Past, output: Output, *, b: int, limit: int) -> tuple[list[Part], Generation]:
    """Decode greedily behind a prompt that was run; keep each step's scores and the ids."""
    steps: list[Step] = []
    after = Output(logits=output.logits[b : b + 1], rows=(past,))
    answer = model.generate(past.inputs, max_new_tokens=limit, greedy=True, on_step=steps.append, after=after)[0]
    ids = np.array(answer.ids, dtype=np.int64)
    return _answer_parts(ids, np.stack([step.logits for step in steps]), np.array(answer.logprobs)), answer


def _followed(model: Model, past: Past, prompt_scores: np.ndarray, *, ids: np.ndarray) -> list[Part]:
    """Score the steps of an answer that is given, behind the scores of the prompt's last token."""
    network, cache, rows = model.network, past.cache, [prompt_scores]
    for token in ids[:-1]:
        hidden, cache = decode_step(np.array([token]), cache, network, delta=int(past.inputs.delta[0]))
        rows.append(vocabulary_scores(hidden, network)[0])
    logprobs = [network.ops.log_probabilities(row)[token] for row, token in zip(rows, ids, strict=True)]
    return _answer_parts(ids, np.stack(rows), np.array(logprobs, dtype=np.float64))


def _answer_parts(ids: np.ndarray, logits: np.ndarray, logprobs: np.ndarray) -> list[Part]:
    """Name the three parts of an answer."""
    chosen_by = "the scores each was chosen by; those of step 0 follow the prompt's last token"
    return [
        Part("answer.ids", ids, "steps", "the token of each step", "11"),
        Part("answer.logits", logits, "steps V", chosen_by, "11"),
        Part("answer.logprobs", logprobs, "steps", "natural logarithm of its probability", "11"),
    ]
