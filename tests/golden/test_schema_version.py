"""Section 15: a manifest of another major version of the format is refused, and says what to do."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.errors import BadInput
from qwen25vl.golden.folder import MANIFEST, SCHEMA
from qwen25vl.golden.manifest import SCHEMA_VERSION
from qwen25vl.golden.read import READS, check_schema_version, read_manifest

HERE = Path("out/manifest.json")


def refusal(version, *, reads):
    """What is said of a version."""
    with pytest.raises(BadInput) as refused:
        check_schema_version(version, where=HERE, reads=reads)
    return str(refused.value)


def test_x5_what_is_written_here_is_read_here():
    check_schema_version(SCHEMA_VERSION, where=HERE, reads=READS)


@pytest.mark.parametrize("version", ["1.0.0", "1.0.7", "1.12.0", "1.99.103"])
def test_x5_minor_versions_and_patches_are_read(version):
    check_schema_version(version, where=HERE, reads=1)


def test_x5_a_newer_major_version_is_refused_with_both():
    assert refusal("2.0.0", reads=1) == (
        "out/manifest.json was made by a newer version (schema 2.0.0; this one reads 1.x); update qwen25vl"
    )
    assert "newer version (schema 10.0.0; this one reads 9.x)" in refusal("10.0.0", reads=9)  # no order of texts


def test_x5_an_older_major_version_is_refused_with_what_to_do():
    assert refusal("0.2.0", reads=1) == (
        "out/manifest.json was made by an older version (schema 0.2.0; this one reads 1.x); write it again"
    )


NO_VERSIONS = [None, 1, 1.0, True, [1, 0, 0], "", "1", "1.0", "1.0.0.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "1.0.x"]
NO_VERSIONS += ["1.-1.0", "1.0.0\n", " 1.0.0", "1,0,0", "\u0661.0.0", "9" * 5000 + ".0.0", "1.0." + "0" * 5000]


@pytest.mark.parametrize("version", NO_VERSIONS, ids=lambda version: ascii(version)[:20])
def test_x5_what_is_no_version_is_refused(version):
    said = refusal(version, reads=1)
    assert said.startswith("out/manifest.json: schema_version must be three numbers, as 1.0.0, got ")
    assert said.endswith("; write it again")
    assert len(said) < 300


@given(version=st.tuples(*[st.integers(0, 10**8)] * 3), reads=st.integers(0, 20))
def test_x5_the_first_number_alone_decides(version, reads):
    text = ".".join(map(str, version))
    if version[0] == reads:
        check_schema_version(text, where=HERE, reads=reads)
    else:
        assert ("newer" if version[0] > reads else "older") in refusal(text, reads=reads)


@pytest.mark.parametrize("version", [f"{READS + 1}.0.0", "0.0.1", "one", None])
def test_x5_a_manifest_is_asked_for_its_version_before_anything_else(tmp_path, version):
    (tmp_path / MANIFEST).write_text(json.dumps({"schema": SCHEMA, "schema_version": version}))
    with pytest.raises(BadInput, match=r"schema_version must be|this one reads"):
        read_manifest(tmp_path)
