"""Section 15: the JSON Schemas accept what is written and refuse what is missing or of another type."""

import copy
import json

import jsonschema
import pytest

from qwen25vl.errors import BadInput
from qwen25vl.golden.noise import NoisePlan
from qwen25vl.golden.schema import SCHEMA_FILES, schema_of, schema_path
from small_corpus import FEW, written

PLAN = NoisePlan(("float32",), ("given",), ("free", "stage"))


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """One file of each kind."""
    out = tmp_path_factory.mktemp("corpus") / "c"
    written(out, noise=PLAN)
    paths = {kind: out / FEW[2] / f"{kind}.json" for kind in SCHEMA_FILES} | {"corpus": out / "corpus.json"}
    return {kind: json.loads(path.read_text()) for kind, path in paths.items()}


def faults(kind: str, document: object) -> list[str]:
    """Say what a schema holds against a document."""
    return [error.message for error in jsonschema.Draft202012Validator(schema_of(kind)).iter_errors(document)]


@pytest.mark.parametrize("kind", SCHEMA_FILES)
def test_a_schema_is_one_and_accepts_what_is_written(documents, kind):
    jsonschema.Draft202012Validator.check_schema(schema_of(kind))
    assert schema_of(kind)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert faults(kind, documents[kind]) == []


OPTIONAL = {"min", "max", "mean", "rms", "nonfinite", "p99", "rel_l2", "worst_token", "overflow"}
"""Statistics and measures, which an array may lack."""


def places(value, at=()):
    """List every place in a JSON value where a field of an object or an item of a list stands."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*at, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*at, key))


def changed(document, path, change):
    """Change a copy at a place."""
    document = copy.deepcopy(document)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    change(holder, path[-1])
    return document


def described(document, kind):
    """List the places that a schema describes: few entries of each list, and no configuration."""
    for path in places(document):
        if "config" in path[:-1] or any(isinstance(key, int) and key > 2 for key in path):
            continue
        if kind == "noise" and len(path) > 1 and path[1] != "logits":
            continue
        yield path


@pytest.mark.parametrize("kind", ["manifest", "noise", "corpus"])
def test_a_field_of_another_type_is_refused_wherever_it_is(documents, kind):
    document = documents[kind]

    def other(holder, key):
        holder[key] = {"other": "type"} if not isinstance(holder[key], dict) else [holder[key]]

    passed = [path for path in described(document, kind) if not faults(kind, changed(document, path, other))]
    assert passed == []


@pytest.mark.parametrize("kind", ["manifest", "noise", "corpus"])
def test_a_field_that_is_missing_is_refused_wherever_it_is(documents, kind):
    document = documents[kind]

    def gone(holder, key):
        del holder[key]

    fields = [path for path in described(document, kind) if isinstance(path[-1], str)]
    fields = [path for path in fields if path[-1] not in OPTIONAL and not (kind == "noise" and len(path) > 1)]
    assert len(fields) > 2
    assert [path for path in fields if not faults(kind, changed(document, path, gone))] == []


REFUSED = [
    ("manifest", ("schema",), "qwen25vl-noise"),
    ("manifest", ("schema_version",), "2.0.0"),
    ("manifest", ("id",), "../up"),
    ("manifest", ("tier",), "modell"),
    ("manifest", ("arithmetic",), "fast"),
    ("manifest", ("model", "precision"), "float8"),
    ("manifest", ("files", 0, "sha256"), "ab"),
    ("manifest", ("files", 0, "name"), "../../etc/passwd"),
    ("manifest", ("files", 0, "bytes"), -1),
    ("manifest", ("parts", 0, "shape"), [-1]),
    ("manifest", ("parts", 0, "dtype"), "float64"),
    ("manifest", ("parts", 0, "file"), "manifest.json"),
    ("manifest", ("parts", 0, "exact"), 1),
    ("manifest", ("parts", 0, "id"), "something"),
    ("manifest", ("chunk",), 0),
    ("manifest", ("media", 0, "kind"), "video"),  # and nothing of what a video has
    ("manifest", ("media", 0, "grid"), [1, 2]),
    ("manifest", ("generation", "answers", 0, "stop"), "tired"),
    ("noise", ("orders",), []),
    ("noise", ("orders",), ["sideways"]),
    ("noise", ("parts", "logits", "float8"), {"free": {"max": 1}}),
    ("noise", ("parts", "logits", "float32"), {"sometimes": {"max": 1}}),
    ("noise", ("parts", "logits", "float32", "free", "max"), -1),
    ("noise", ("parts", "logits", "float32", "free", "mean"), 1),
    ("integers", ("inputs.ids",), [1.5]),
    ("integers", ("inputs.ids",), None),
    ("integers", ("inputs.ids",), [["7"]]),
    ("corpus", ("cases", 0, "id"), "A case"),
    ("corpus", ("cases", 0, "exports"), ["zip"]),
    ("corpus", ("cases", 0, "manifest_sha256"), None),
    ("corpus", ("noise", "modes"), ["forced"]),
]


@pytest.mark.parametrize(("kind", "path", "value"), REFUSED, ids=[".".join(map(str, row[1])) for row in REFUSED])
def test_a_value_that_cannot_be_is_refused(documents, kind, path, value):
    def put(holder, key):
        holder[key] = value

    assert faults(kind, changed(documents[kind], path, put)) != []


def test_a_field_that_a_minor_version_adds_is_allowed(documents):
    assert faults("manifest", documents["manifest"] | {"schema_version": "1.7.2", "colour": "blue"}) == []


def test_another_kind_of_file_has_no_schema():
    with pytest.raises(BadInput, match=r"no schema of 'parts'; take one of manifest, noise, integers, corpus"):
        schema_path("parts")
