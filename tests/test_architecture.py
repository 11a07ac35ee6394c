"""The house: which room may import which, who may know PyTorch, and how long a module may be."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ref" / "qwen25vl"

FLOORS = (
    {"errors", "table", "tap_names", "rounding", "wording"},
    {"limits"},
    {"plot", "precision", "config", "config_keys", "json_file", "layers", "tap", "overflow", "bundled"},
    {"config_json", "ops", "checkpoint", "media"},
    {"gated_mlp", "prompt"},
    {"vision", "language", "strict"},
    {"inputs", "opened"},
    {"processor", "reuse"},
    {"model"},
    {"generate"},
    {"api"},
    {""},
    {"golden"},
    {"port"},
    {"report"},
    {"pytest_plugin"},
    {"cli"},
)
"""From the ground up. A room imports from lower floors, and from itself; "" is the package itself."""


def room(module: str) -> str:
    """The room of `qwen25vl.vision.block` is `vision`."""
    return module.split(".")[1] if "." in module else ""


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_from_the_floors_below_it(module):
    floor_of = {name: height for height, floor in enumerate(FLOORS) for name in floor}
    here = room(module)
    for other in imports(MODULES[module]):
        if other.split(".")[0] == "qwen25vl" and room(other) != here:
            assert floor_of[room(other)] < floor_of[here], f"{module} imports {other}"


@pytest.mark.parametrize("module", MODULES)
def test_no_module_of_the_package_knows_pytorch(module):
    assert not {name.split(".")[0] for name in imports(MODULES[module])} & {"torch", "transformers"}


def test_one_test_file_knows_pytorch():
    knowing = {
        path.name
        for path in (ROOT / "tests").rglob("*.py")
        if {name.split(".")[0] for name in imports(path)} & {"torch", "transformers"}
    }
    assert knowing == {"oracle.py"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short_and_says_what_it_answers(module):
    text = MODULES[module].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 250
    assert ast.get_docstring(ast.parse(text))
    assert "from __future__" not in text
