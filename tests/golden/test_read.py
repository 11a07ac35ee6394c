"""Reading a manifest: what `write_golden` writes is read, and everything else is refused in one sentence."""

import copy
import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from qwen25vl.errors import BadInput
from qwen25vl.golden.folder import FILES, INTEGERS, MANIFEST
from qwen25vl.golden.read import read_manifest
from small_golden import written_main_job


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Write a small golden of the main job."""
    return written_main_job(
        tmp_path_factory.mktemp("golden") / "g",
        precision="float32",
        max_pixels=3136,
        max_new_tokens=1,
        taps="stages",
    )


def test_x5_what_was_written_is_read(written):
    document = json.loads((written / MANIFEST).read_text())
    assert read_manifest(written) == document
    assert document["model"]["name"] == "tiny"


WRONG = [
    (("schema",), "other", 'its schema is "other"'),
    (("model",), None, "model must be an object, got null"),
    (("model", "name"), 7, "model.name must be a text, got 7"),
    (("id",), None, "id must be a text, got null"),
    (("tier",), 1, "tier must be a text, got 1"),
    (("arithmetic",), {}, "arithmetic must be a text, got {}"),
    (("model", "files", 0, "sha256"), 0, "model.files[0].sha256 must be a text, got 0"),
    (("prompts",), "", "prompts must be a list"),
    (("prompts", 0), [], "prompts[0] must be a text, got []"),
    (("taps",), 3, "taps must be a text, got 3"),
    (("chunk",), "3", 'chunk must be a whole number, got "3"'),
    (("files", 0), [], "files[0] must be an object"),
    (("files", 0, "bytes"), None, "files[0].bytes must be a whole number"),
    (("files", 0, "name"), "/etc/passwd", "files[0].name must be one of inputs.safetensors"),
    (("media",), {}, "media must be a list"),
    (("media", 0), 3, r"media[0] must be an object, got 3"),
    (("media", 0, "grid"), [1, 2], r"media[0].grid must hold 3 counts, got [1, 2]"),
    (("media", 0, "tokens"), True, r"media[0].tokens must be a whole number, got true"),
    (("generation", "rule"), None, "generation.rule must be a text"),
    (("generation", "answers"), "1", "generation.answers must be a list"),
    (("generation", "answers", 0), "1", "generation.answers[0] must be an object"),
    (("generation", "answers", 0, "ids"), "1", "generation.answers[0].ids must be a list"),
    (("parts", 0), None, r"parts[0] must be an object"),
    (("parts", 1, "id"), None, r"parts[1].id must be a text"),
    (("parts", 1, "shape"), [-1], r"parts[1].shape must hold counts"),
    (("parts", 1, "id"), "inputs.ids", "parts lists an id twice"),
    (("parts", 1, "file"), "manifest.json", "parts[1].file must be one of inputs.safetensors"),
    (("parts", 1, "file"), "../secret", "parts[1].file must be one of inputs.safetensors"),
    (("parts", 1, "rms"), float("nan"), "parts[1].rms must be a finite number, got NaN"),
    (("parts", 1, "min"), 10**400, "parts[1].min must be a finite number"),
    (("parts", 1, "max"), "7", "parts[1].max must be a finite number"),
]


def changed(document, path, value):
    """Put a value at a place of a copy."""
    document = copy.deepcopy(document)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


@pytest.mark.parametrize(("path", "value", "says"), WRONG, ids=[".".join(map(str, row[0])) for row in WRONG])
def test_a_value_of_another_kind_is_named(written, tmp_path, path, value, says):
    document = changed(json.loads((written / MANIFEST).read_text()), path, value)
    (tmp_path / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(BadInput) as refusal:
        read_manifest(tmp_path)
    assert says in str(refusal.value)
    assert str(tmp_path / MANIFEST) in str(refusal.value)


PRESENT = ("inputs.safetensors", "taps.safetensors", "answer.safetensors", INTEGERS)
"""What the golden consists of beside its manifest."""


@pytest.mark.parametrize("file", PRESENT)
def test_a_missing_file_is_named(written, tmp_path, file):
    for name in (*PRESENT, MANIFEST):
        if name != file:
            (tmp_path / name).write_bytes((written / name).read_bytes())
    with pytest.raises(BadInput, match=f"lacks {file}, named in manifest.json"):
        read_manifest(tmp_path)


def places(value, at=()):
    """List every place in a JSON value."""
    yield at
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*at, key))


@given(data=st.data())
def test_a_manifest_with_anything_anywhere_is_read_or_refused(written, tmp_path_factory, data):
    from qwen25vl.cli.show_stored import golden_text
    from qwen25vl.report.golden import golden_report, norms_by_depth

    document = json.loads((written / MANIFEST).read_text())
    document["parts"] = document["parts"][:12]  # enough for every kind of entry, few enough to be hit
    path = data.draw(st.sampled_from([place for place in places(document) if place]))
    junk = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=3),
        st.just([]),
        st.just({}),
        st.just([[]]),
    )
    folder = tmp_path_factory.mktemp("any")
    for name in FILES:
        (folder / name).touch()
    (folder / MANIFEST).write_text(json.dumps(changed(document, path, data.draw(junk))))
    try:
        facts = golden_report(folder)
    except BadInput:
        return
    norms_by_depth(facts["stages"])
    assert golden_text(facts).startswith("a golden of ")
