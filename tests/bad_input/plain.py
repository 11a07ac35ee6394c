"""The package as users have it: without the checks of types that the tests put around every function.

With them, a wrong type never reaches the code that has to refuse it.
"""

import importlib
import sys
from types import ModuleType


def plain_package() -> ModuleType:
    """Import a second copy of the package, past the import hook, and put everything back."""
    hooked = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "qwen25vl"}
    finders = list(sys.meta_path)
    sys.meta_path[:] = [finder for finder in finders if "jaxtyping" not in type(finder).__module__]
    assert len(sys.meta_path) < len(finders), "the hook is not where it was"
    try:
        package = importlib.import_module("qwen25vl")
        for name in ("cli.main", "media.clip", "media.picture", "media.resize"):
            importlib.import_module(f"qwen25vl.{name}")
        return package
    finally:
        for name in list(sys.modules):
            if name.split(".")[0] == "qwen25vl":
                del sys.modules[name]
        sys.modules.update(hooked)
        sys.meta_path[:] = finders


PLAIN = plain_package()
"""One copy for all tests."""
