"""What every test of the project shares: loud arithmetic, checked shapes, profiles, external data."""

import os
import random
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import hypothesis
import numpy as np
import pytest
from jaxtyping import install_import_hook

ROOT = Path(__file__).parent

# beartype looks at a random item of a container. It gets a generator of its own, bound while it is imported:
# hypothesis forbids the shared one inside strategies, and a run must repeat.
with mock.patch.object(random, "getrandbits", random.Random(0).getrandbits):
    import beartype._check.code.codemain  # noqa: F401 - imported for what it binds

# The hook cannot look into functions that are compiled: of `strict`, only what calls them is checked.
ROOMS = [f"qwen25vl.{path.stem}" for path in sorted((ROOT / "ref" / "qwen25vl").iterdir())]
install_import_hook(
    [*(room for room in ROOMS if room != "qwen25vl.strict"), "qwen25vl.strict.ops"], "beartype.beartype"
)
np.seterr(divide="raise", over="raise", invalid="raise")

hypothesis.settings.register_profile("dev", max_examples=10, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=25, deadline=None, derandomize=True)
hypothesis.settings.register_profile("nightly", max_examples=400, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let CI insist on the oracle."""
    parser.addoption(
        "--require-oracle",
        action="store_true",
        help="fail, not skip, where PyTorch or transformers is missing",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip oracle tests on a machine without PyTorch, unless CI insists on them."""
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing and config.getoption("--require-oracle"):
        raise pytest.UsageError(f"--require-oracle was given, but {' and '.join(missing)} cannot be imported")
    if missing:
        skip = pytest.mark.skip(reason=f"needs {' and '.join(missing)}, the oracle of this test")
        for item in items:
            if item.get_closest_marker("oracle"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the external test data: the released tokenizer and configs, photographs."""
    path = Path(os.environ.get("QWEN25VL_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no external test data at {path}; set QWEN25VL_DATA to its directory")
    return path


@pytest.fixture(scope="session")
def tiny_dir() -> Path:
    """Return the checkpoint inside the package."""
    return ROOT / "ref" / "qwen25vl" / "checkpoints" / "tiny"


@pytest.fixture(scope="session")
def photo() -> Path:
    """Return the photograph inside the package."""
    return ROOT / "ref" / "qwen25vl" / "pictures" / "hopper.png"
