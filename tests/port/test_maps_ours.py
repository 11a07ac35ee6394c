"""The map ours: ids are their own names, and everything that is one is declared."""

import numpy as np

from qwen25vl.port.maps.name_map import Mapped, name_map
from qwen25vl.tap_names import TAP_NAMES

OURS = name_map("ours")


def test_every_id_is_its_own_name_and_is_taken_as_it_is():
    ids = [row.id.replace("NN", "03") for row in TAP_NAMES]
    ids += [
        "rows.00.logits",
        "chunks.01.language.blocks.00.norm1",
        "inputs.ids",
        "outputs.0.size",
        "answer.logits",
    ]
    mapped, unknown = OURS.mapped(ids)
    assert [(one.part, one.sources) for one in mapped] == [(name, (name,)) for name in ids]
    assert unknown == []
    x = np.arange(3)
    assert all(isinstance(one, Mapped) and one.make([x]) is x for one in mapped)
    assert all(OURS.declares(name) for name in ids)


def test_what_is_no_id_is_told_apart():
    names = ["vision.blocks.3.norm1", "vision.outs", "input.ids", "rows.00.what", ""]
    assert OURS.mapped(names) == ([], names)
    assert not any(OURS.declares(name) for name in names)
