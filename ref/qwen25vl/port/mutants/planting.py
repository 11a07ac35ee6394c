"""Section 15 - planting: how does a wrong function get to wherever the right one is called?"""

import importlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import numpy as np

from qwen25vl import ops as ops_module
from qwen25vl.golden.case import Lab
from qwen25vl.golden.registry import cases_by_id
from qwen25vl.ops import Ops
from qwen25vl.port.mutants.mutant import AnySwap, Mutant, NumberSwap, OpsSwap, Swap

PACKAGE = "qwen25vl"
"""Everything that is exchanged lies in it."""


@dataclass(frozen=True)
class Planted:
    """A reference that is wrong, as long as the context lasts."""

    lab: Lab
    """Computes with the wrong functions."""
    calls: Counter[str]
    """How often each exchanged function ran; a number of the config counts as read once."""


@contextmanager
def planted(mutants: tuple[Mutant, ...], lab: Lab) -> Iterator[Planted]:
    """Put known bugs into the reference.

    Modules of the package that hold a function by its name get the wrong one, too; what was made with the right
    one before, such as another lab, keeps it.

    Args:
        mutants: what to plant; none leaves the reference right.
        lab: to compute with.

    Raises:
        AttributeError: if there is no function or number of a swap's name.

    Spec: spec/15-golden-values.md (X33)
    """
    cases_by_id()  # whatever computes is imported now, so that nothing binds a wrong function for good
    swaps: list[AnySwap] = [swap for mutant in mutants for swap in mutant.swaps()]
    calls: Counter[str] = Counter()
    with ExitStack() as stack:
        for swap in swaps:
            if isinstance(swap, Swap):
                _exchange(swap, calls, stack)
        small = [swap for swap in swaps if isinstance(swap, OpsSwap)]
        if small:
            _exchange_everywhere(
                ops_module.reference_ops, lambda right: lambda p: _other_ops(right(p), small, calls), stack
            )
        changed = lab.with_ops(ops_module.reference_ops(lab.ops.precision)) if swaps else lab
        for swap in swaps:
            if isinstance(swap, NumberSwap):
                changed = _other_number(changed, swap)
                calls[swap.name] += 1
        yield Planted(changed, calls)


def _exchange(swap: Swap, calls: Counter[str], stack: ExitStack) -> None:
    """Exchange a function of a module, or of a class, until the stack is left."""
    owner, name = _found(swap.target)
    right = vars(owner)[name]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        wrong = swap.by(function)

        @wraps(function)
        def counting(*arguments: Any, **settings: Any) -> Any:
            calls[swap.target] += 1
            return wrong(*arguments, **settings)

        return counting

    if not isinstance(owner, type):
        _exchange_everywhere(right, counted, stack)
        return
    wrong: Any = property(counted(right.fget)) if isinstance(right, property) and right.fget else counted(right)
    _set(owner, name, wrong, stack)


def _exchange_everywhere(
    right: Callable[..., Any], by: Callable[[Callable[..., Any]], Callable[..., Any]], stack: ExitStack
) -> None:
    """Exchange a function under every name that a module of the package holds it by."""
    wrong = by(right)
    for module_name, module in list(sys.modules.items()):
        if module_name == PACKAGE or module_name.startswith(f"{PACKAGE}."):
            for name in [name for name, value in vars(module).items() if value is right]:
                _set(module, name, wrong, stack)


def _set(owner: Any, name: str, value: Any, stack: ExitStack) -> None:
    """Set an attribute until the stack is left."""
    stack.callback(setattr, owner, name, vars(owner)[name])
    setattr(owner, name, value)


def _found(target: str) -> tuple[Any, str]:
    """Return what holds a function, and its name there."""
    *path, name = target.split(".")
    owner: Any = importlib.import_module(PACKAGE)
    for part in path:
        try:
            owner = importlib.import_module(f"{owner.__name__}.{part}")
        except ModuleNotFoundError:
            owner = vars(owner)[part]
    return owner, name


def _other_ops(right: Ops, swaps: list[OpsSwap], calls: Counter[str]) -> Ops:
    """Exchange some of the small functions."""
    changed = right
    for swap in swaps:
        changed = replace(changed, **{swap.name: _narrowed(swap, changed, calls)})  # type: ignore[arg-type]
    return changed


def _narrowed(swap: OpsSwap, right: Ops, calls: Counter[str]) -> Callable[..., np.ndarray]:
    """Make a wrong function whose results have the precision of the run, however wide it computes."""
    wrong, precision = swap.by(right), right.precision

    def counting(*arrays: Any, **settings: Any) -> np.ndarray:
        calls[f"ops.{swap.name}"] += 1
        with np.errstate(over="ignore", invalid="ignore"):
            found: np.ndarray = wrong(*arrays, **settings)
        return found if swap.name == "log_probabilities" else precision.held(found)  # (G19) is wide everywhere

    return counting


def _other_number(lab: Lab, swap: NumberSwap) -> Lab:
    """Exchange a number of the config that the network computes with."""
    config = lab.config
    *scope, name = swap.name.split(".")
    if scope:
        part = getattr(config, scope[0])
        config = replace(config, **{scope[0]: replace(part, **{name: swap.by(getattr(part, name))})})
    else:
        config = replace(config, **{name: swap.by(getattr(config, name))})
    return Lab(replace(lab.model, network=replace(lab.model.network, config=config)))
