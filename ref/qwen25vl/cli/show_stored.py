"""What `qwen25vl show` prints of checkpoints and goldens."""

from typing import Any

from qwen25vl.table import aligned, byte_text, count_text, labelled, size_text

LONGEST_PROMPT = 160
"""Characters of a prompt that are printed; --json has them all."""

LAYOUTS = {"released": "as released (visual., model.)", "new": "new (model.visual., model.language_model.)"}
"""What the two layouts of tensor names are called. (C18)"""


def checkpoint_text(facts: dict[str, Any]) -> str:
    """Say what a checkpoint is and holds."""
    kind = f"a checkpoint of the shape of {facts['release']}" if facts["release"] else "a checkpoint"
    rows = [*_vision(facts["config"]["vision"]), *_text(facts["config"]["text"]), *_weights(facts)]
    table = [("part", "tensors", "parameters", "share")]
    total = facts["parameters"]["total"]

    def add(name: str, tensors: int, count: int) -> None:
        table.append((name, f"{tensors:,}", f"{count:,}", f"{count / total:.2%}"))

    for part in facts["parts"]:
        add(f"{part['tower']}: {part['part']}", part["tensors"], part["parameters"])
    for tower, count in facts["parameters"].items():
        towers = ("vision", "text") if tower == "total" else (tower,)
        tensors = sum(part["tensors"] for part in facts["parts"] if part["tower"] in towers)
        add("total" if tower == "total" else f"{tower} in all", tensors, count)
    return f"{kind}\n\n{aligned(rows, indent=2)}\n\n{aligned(table, right=(1, 2, 3), indent=2)}"


def golden_text(facts: dict[str, Any]) -> str:
    """Say what a golden is and holds."""
    prompts = [_shortened(repr(prompt)) for prompt in facts["prompts"]]
    answers = [
        f"{answer['text']!r} ({count_text(answer['tokens'], 'token')}, ended by {answer['stop']}; {facts['rule']})"
        for answer in facts["answers"]
    ]
    media = [
        f"{medium['source']}: {size_text(medium['original_size'])} pixels, resized to "
        f"{size_text(medium['resized_size'])}, grid {medium['grid']}, {count_text(medium['tokens'], 'token')}"
        for medium in facts["media"]
    ]
    files = [
        f"{file['name']}: {count_text(file['tensors'], 'tensor')}, {byte_text(file['bytes'])}"
        for file in facts["files"]
    ]
    rows = [
        ("case", f"{facts['id']}: {facts['title']}"),
        *labelled("prompt" if len(prompts) == 1 else "prompts", prompts),
        *labelled("media", media),
        *labelled("answer" if len(answers) == 1 else "answers", answers),
        *labelled("files", files),
        ("sections", ", ".join(f"{name}: {count}" for name, count in facts["sections"].items()) + " tensors"),
    ]
    model = facts["model"]
    title = f"a golden of {model['name']} in {model['precision']}, {facts['arithmetic']} sums"
    return f"{title}\n\n{aligned(rows, indent=2)}\n\n{_stages(facts)}"


def _shortened(prompt: str) -> str:
    """Cut a prompt to what is printed."""
    return prompt if len(prompt) <= LONGEST_PROMPT else prompt[: LONGEST_PROMPT - 3] + "..."


def _stages(facts: dict[str, Any]) -> str:
    """Tabulate the statistics of the taps of level `stages`."""
    if not facts["stages"]:
        return "  no tap of the level `stages` was recorded"
    table: list[tuple[str, ...]] = [("stage", "shape", "min", "max", "mean", "rms", "not finite")]
    for stage in facts["stages"]:
        numbers = [f"{stage[name]:.5g}" if name in stage else "-" for name in ("min", "max", "mean", "rms")]
        broken = f"{stage['nonfinite']:,.0f}" if "nonfinite" in stage else ""
        table.append((stage["id"], " x ".join(map(str, stage["shape"])), *numbers, broken))
    if not any(row[-1] for row in table[1:]):
        table = [row[:-1] for row in table]
    return aligned(table, right=range(2, 7), indent=2)


def _vision(vision: dict[str, Any]) -> list[tuple[str, str]]:
    """Say the vision encoder's configuration in words."""
    full = " ".join(map(str, vision["full_attention_blocks"])) or "none"
    head = vision["hidden_size"] // vision["num_heads"]
    merge = vision["merge_p"]
    lines = [
        f"{count_text(vision['depth'], 'block')} of width {vision['hidden_size']}, "
        f"{count_text(vision['num_heads'], 'head')} of {head}, MLP {vision['intermediate_size']}",
        f"patches of {vision['patch_px']} px and {count_text(vision['temporal_patch_f'], 'frame')}, "
        f"{merge} x {merge} of them a token",
        f"windows of {vision['window_px']} px; full attention in blocks: {full}",
        f"{count_text(vision['tokens_per_second'], 'temporal position')} per second of video",
    ]
    return labelled("vision", lines)


def _text(text: dict[str, Any]) -> list[tuple[str, str]]:
    """Say the language model's configuration in words."""
    head = text["hidden_size"] // text["num_attention_heads"]
    sections = ", ".join(map(str, text["mrope_section"]))
    lines = [
        f"{count_text(text['num_hidden_layers'], 'block')} of width {text['hidden_size']}, "
        f"{count_text(text['num_attention_heads'], 'query head')} and "
        f"{count_text(text['num_key_value_heads'], 'key/value head')} of {head}, MLP {text['intermediate_size']}",
        f"{text['vocab_size']:,} rows of the vocabulary, {text['max_position_embeddings']:,} positions",
        f"{sections} rotary frequencies for time, height and width",
    ]
    return labelled("text", lines)


def _weights(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Say how the weights are stored."""
    head = ("head", "the embedding again (tied)" if facts["tied"] else "a matrix of its own (untied)")
    weights = facts["weights"]
    if weights is None:
        return [head, ("weights", "none in this directory: what follows is what its config.json asks for")]
    types = [
        f"{dtype}: {count_text(stored['tensors'], 'tensor')}, {byte_text(stored['bytes'])}"
        for dtype, stored in weights["types"].items()
    ]
    return [
        head,
        *labelled("files", [f"{file['name']}: {byte_text(file['bytes'])}" for file in weights["files"]]),
        *labelled("stored as", types),
        ("names", LAYOUTS[weights["names"]]),
        ("census", f"{count_text(facts['tensors'], 'tensor')}: none missing, none too many, all shapes right"),
    ]
