"""Options of the commands that look at a port's numbers, and what they stand for."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from qwen25vl.api import Model, load
from qwen25vl.errors import BadInput
from qwen25vl.golden.corpus_read import GoldenCase, file_faults, open_goldens
from qwen25vl.golden.registry import SMOKE_SET, smoke_ids
from qwen25vl.golden.restore import restored_config
from qwen25vl.port.check import weights_named, weights_of
from qwen25vl.port.dump import open_dump
from qwen25vl.port.maps.name_map import NameMap, name_map
from qwen25vl.port.policy import Policy, read_policy
from qwen25vl.port.values import PortValues, golden_values
from qwen25vl.precision import PRECISIONS


@dataclass(frozen=True, eq=False)
class Opened:
    """What a port's numbers are held against."""

    goldens: Sequence[GoldenCase]
    """The chosen cases, whole and undamaged."""
    others: tuple[str, ...]
    """Ids of every case of the corpus."""
    problems: tuple[str, ...]
    """Sentences about cases that cannot be used."""
    model: Model
    hashes: frozenset[str]
    """Of the model's files of weights."""
    policy: Policy
    mapping: NameMap


def add_port_options(parser: argparse.ArgumentParser) -> None:
    """Describe a dump, and what it is held against."""
    parser.add_argument("--golden", type=Path, required=True, metavar="DIR", help="a case or a whole corpus")
    parser.add_argument(
        "--map",
        default="ours",
        metavar="WHICH",
        help="what names mean: ours, hf, gguf or a TOML file (default: ours)",
    )
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="checkpoint of the goldens, with which each stage is judged alone (default: tiny)",
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="format of the port's arithmetic (default: that of its numbers)"
    )
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="GLOB",
        help="only cases whose id, family or tier matches; smoke chooses the smoke set",
    )
    parser.add_argument("--present", action="store_true", help="only cases of which the dump has something")
    parser.add_argument("--tolerances", type=Path, metavar="FILE", help="limits of your own, as tolerances.toml")


def opened_goldens(options: argparse.Namespace) -> Opened:
    """Open the cases that are chosen, and the checkpoint.

    Raises:
        BadInput: if there is none, or the checkpoint is another one than that of the goldens.
    """
    policy = read_policy(options.tolerances)
    known, problems = open_goldens(options.golden)
    chosen = _chosen(known, options.filter, problems)
    goldens, damaged = _undamaged(chosen)
    if not goldens:
        raise BadInput(f"no golden can be used: {damaged[0]}")
    model = load("tiny" if options.model is None else options.model, precision="float64")
    hashes = weights_of(model)
    if options.model is not None and all(hashes != weights_named(golden.manifest) for golden in goldens):
        raise BadInput(
            f"--model {options.model!r} is not the checkpoint of these goldens, which is "
            f"{goldens[0].manifest['model']['name']!r}; give that one, or leave --model out"
        )
    return Opened(
        goldens=goldens,
        others=tuple(golden.id for golden in known),
        problems=(*problems, *damaged),
        model=model,
        hashes=hashes,
        policy=policy,
        mapping=name_map(options.map, config=restored_config(goldens[0].manifest)),
    )


def dumped_values(dump: Path, opened: Opened) -> PortValues:
    """Read what a port computed."""
    return golden_values(open_dump(dump), opened.mapping, opened.goldens, others=opened.others)


def present_goldens(
    options: argparse.Namespace, goldens: Sequence[GoldenCase], port: PortValues
) -> Sequence[GoldenCase]:
    """Return the cases that are checked: with --present those of which the dump has something."""
    if not options.present:
        return goldens
    return [golden for golden in goldens if port.by_case.get(golden.id)] or goldens


def _chosen(goldens: Sequence[GoldenCase], globs: Sequence[str], problems: Sequence[str]) -> Sequence[GoldenCase]:
    """Keep the cases that a glob matches."""
    if not goldens:
        raise BadInput(f"no golden can be used: {problems[0]}")
    chosen = [golden for golden in goldens if not globs or any(_matches(golden, glob) for glob in globs)]
    if not chosen:
        named = ", ".join(repr(glob) for glob in globs)
        raise BadInput(
            f"no case of {len(goldens)} matches {named}; give a glob over their ids, a family, a tier or smoke"
        )
    return chosen


def _matches(golden: GoldenCase, glob: str) -> bool:
    """Whether a glob means a case, its family, its tier, or the smoke set that it is in."""
    if glob == SMOKE_SET:
        return golden.id in smoke_ids()
    return any(fnmatchcase(golden.manifest[name], glob) for name in ("id", "family", "tier"))


def _undamaged(goldens: Sequence[GoldenCase]) -> tuple[list[GoldenCase], list[str]]:
    """Leave out the cases whose files have another hash than they should."""
    whole, damaged = [], []
    for golden in goldens:
        fault = next(file_faults(golden.directory, golden.manifest, verify=True), None)
        if fault is None:
            whole.append(golden)
        else:
            damaged.append(f"the case {golden.id} cannot be used: {fault}")
    return whole, damaged
