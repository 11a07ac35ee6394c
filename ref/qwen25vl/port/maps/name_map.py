"""Section 15 - names of a dump: which part is each tensor that a port dumped, and how is it made from it?"""

from pathlib import Path

from qwen25vl.config import Config
from qwen25vl.errors import BadInput
from qwen25vl.port.maps.gguf import gguf_map
from qwen25vl.port.maps.hf import hf_map
from qwen25vl.port.maps.rules import Mapped, NameMap, is_part
from qwen25vl.port.maps.toml import toml_map
from qwen25vl.wording import named

__all__ = ["Mapped", "NameMap", "name_map"]


def name_map(which: str, *, config: Config | None = None) -> NameMap:
    """Return a map by its name, or read it from a TOML file.

    Args:
        which: `ours`, our own ids; `hf`, module paths of transformers; `gguf`, tensors of llama.cpp; or the path
            of a TOML file.
        config: of the golden's model: heads, widths and which blocks attend to whole frames. Without it the map
            can say what a name means, but not make a part whose shape it would need to know.

    Raises:
        BadInput: if there is no such map, or a mistake in the file.
    """
    if which == "ours":
        return NameMap("ours", declared=is_part)
    if which == "hf":
        return hf_map(config)
    if which == "gguf":
        return gguf_map(config)
    if not which.endswith(".toml") and not Path(which).is_file():
        raise BadInput(f"there is no map {named(which)}; give ours, hf, gguf or the path of a TOML file")
    return toml_map(Path(which), config=config)
