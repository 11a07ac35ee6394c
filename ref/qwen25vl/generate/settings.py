"""Section 11 - generation settings: what does a checkpoint ask of decoding?"""

from dataclasses import dataclass
from pathlib import Path

from qwen25vl.config import Config
from qwen25vl.errors import BadInput
from qwen25vl.generate.ranges import RANGES, checked_values
from qwen25vl.json_file import json_object
from qwen25vl.wording import shown

FILE = "generation_config.json"
"""Where a checkpoint keeps its settings."""

NEUTRAL: dict[str, object] = {
    "num_beams": 1,
    "num_beam_groups": 1,
    "diversity_penalty": 0,
    "penalty_alpha": 0,
    "typical_p": 1,
    "epsilon_cutoff": 0,
    "eta_cutoff": 0,
    "top_h": None,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1,
    "guidance_scale": 1,
    "min_length": 0,
    "min_new_tokens": 0,
    "max_time": None,
    "stop_strings": None,
    "bad_words_ids": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "force_words_ids": None,
    "constraints": None,
    "sequence_bias": None,
    "exponential_decay_length_penalty": None,
    "watermarking_config": None,
    "dola_layers": None,
    "token_healing": False,
    "remove_invalid_values": False,
}
"""Keys of the file that change the answer and are not part of this specification, with the value that does not."""


@dataclass(frozen=True)
class GenerationSettings:
    """How the next token is chosen. The defaults are those of transformers for a key that the file leaves out.

    Spec: spec/11-generation.md (G12)
    """

    do_sample: bool = False
    temperature: float = 1.0
    """0 takes the best score each time, whatever `do_sample` says."""
    top_k: int = 50
    """0: off. trap: a file that says nothing of it asks for 50."""
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    unsupported: tuple[str, ...] = ()
    """What the file asks for beyond this specification: `num_beams = 4`."""

    @property
    def draws(self) -> bool:
        """Say whether ids are drawn; else the best score is taken."""
        return self.do_sample and self.temperature > 0


GREEDY = GenerationSettings()
"""The best score, without any penalty: how golden values are recorded."""


def read_settings(directory: Path) -> GenerationSettings:
    """Return what a checkpoint's generation_config.json asks for.

    Raises:
        BadInput: if the file is malformed, or a value is out of its range.

    Spec: spec/11-generation.md (G12, G13, G14)
    """
    path = directory / FILE
    if not path.is_file():
        return GenerationSettings()  # (G12)
    document = {key: value for key, value in json_object(path).items() if value is not None}
    do_sample = document.get("do_sample", False)
    if not isinstance(do_sample, bool):
        raise BadInput(f"{path}: do_sample must be true or false, got {shown(do_sample)}; correct the file")
    found = {key: document[key] for key in RANGES if key in document}
    values = checked_values(found, where=f"{path}: ")  # (G13)
    asked = [f"{key} = {shown(document[key])}" for key, none in NEUTRAL.items() if document.get(key, none) != none]
    return GenerationSettings(do_sample=do_sample, **values, unsupported=tuple(asked))  # (G14)


def read_stop_ids(directory: Path, config: Config) -> tuple[int, ...]:
    """Return the ids that end an answer: those of generation_config.json, else the config's one.

    Raises:
        BadInput: if the file is malformed, or an id has no embedding row.

    Spec: spec/11-generation.md (G2)
    """
    path = directory / FILE
    if not path.is_file():
        return (config.eos_token_id,)
    found = json_object(path).get("eos_token_id")
    if found is None:
        return (config.eos_token_id,)
    ids = found if isinstance(found, list) else [found]  # (G2) the releases list two
    if not ids or not all(type(i) is int and 0 <= i < config.text.vocab_size for i in ids):
        raise BadInput(f"{path}: eos_token_id must be ids below {config.text.vocab_size}, got {shown(found)}")
    return tuple(ids)
