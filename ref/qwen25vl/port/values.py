"""Section 15 - a port's values: which part of which case is each array of a dump?"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from qwen25vl.golden.corpus_read import GoldenCase
from qwen25vl.golden.registry import all_cases
from qwen25vl.port.dump import Dump, located
from qwen25vl.port.maps.name_map import Mapped, NameMap
from qwen25vl.port.maps.rules import itself
from qwen25vl.port.part_shape import in_shape, whole_numbers
from qwen25vl.port.port_precision import port_precision
from qwen25vl.wording import named

KEPT_BYTES = 1 << 16
"""Arrays up to this size are kept when they were read once: a check looks at each several times."""

UNKNOWN = "unknown part"
"""Names that the map does not know: no trouble, since what they should have been is missing then."""

TOLD = 3
"""So many names stand in a sentence."""

Shapes = Callable[[str], Mapping[str, tuple[int, ...]]]
"""Gives the shapes of a golden's parts, by the id of its case."""


@dataclass(frozen=True, eq=False)
class PortValues:
    """What a port computed, under our names."""

    name: str
    """What the dump is called in a report."""
    by_case: Mapping[str, Mapping[str, np.ndarray]]
    """Arrays by case and part; read when they are asked for. A case of which there is nothing is absent."""
    precision: str
    """The format that the numbers show."""
    problems: tuple[str, ...]
    """Sentences about what could not be read or placed."""
    declares: Callable[[str], bool]
    """Whether the map of names can deliver a part at all."""
    skipped: tuple[str, ...] = ()
    """Ids of cases that the port says it does not do."""
    notes: tuple[str, ...] = ()
    """Sentences about what is no part: a dump may hold more than we ask for."""


@dataclass(frozen=True, eq=False)
class CaseValues(Mapping[str, np.ndarray]):
    """The arrays of one case by part: read, made into the part, and put into its shape, on access."""

    case: str
    dump: Dump
    made: Mapping[str, Mapped]
    """How each part is made."""
    dumped: Mapping[str, str]
    """The full name of each tensor that a part is made of."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of the golden's parts."""
    kept: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __getitem__(self, part: str) -> np.ndarray:
        """Return a part.

        Raises:
            BadInput: if the dump turns out to be damaged.
            KeyError: if the port does not give it.
        """
        if part in self.kept:
            return self.kept[part]
        mapped = self.made[part]
        sources = [self.dump.read(self.dumped[source]) for source in mapped.sources]
        found = whole_numbers(in_shape(mapped.make(sources), part, self.shapes.get(part)), part)
        if found.nbytes <= KEPT_BYTES:
            self.kept[part] = found
        return found

    def __iter__(self) -> Iterator[str]:
        """Go through the parts in the order of the dump."""
        return iter(self.made)

    def __len__(self) -> int:
        """Count the parts."""
        return len(self.made)


def port_values(
    dump: Dump, mapping: NameMap, *, case_ids: Sequence[str], parts_of: Shapes, others: Collection[str] = ()
) -> PortValues:
    """Find out what each array of a dump is.

    A name is CASE/PART; without CASE it belongs to the only case. PART is a name that `mapping` knows.

    Args:
        dump: what the port computed.
        mapping: what its names mean.
        case_ids: of the goldens that it is held against.
        parts_of: shapes of a golden's parts. An array of the same numbers in the same order that differs from
            them by sides of 1 or by flattened sides is put into that shape.
        others: cases that are known but not held against; what is theirs is passed over, as is that of any
            registered case.

    Returns:
        The values; `problems` has those of the dump, and one sentence for each kind of trouble with its names.

    Spec: spec/15-golden-values.md (X28)
    """
    by_case, troubles = _by_case(dump, case_ids, others=others)
    values = {
        case: _case_values(dump, mapping, case, names, shapes=parts_of(case), troubles=troubles)
        for case, names in by_case.items()
    }
    told = {kind: TROUBLES[kind](names) for kind, names in troubles.items() if names}
    results = [
        dump.tensors[found.dumped[source]]
        for found in values.values()
        for part, mapped in found.made.items()
        if not part.startswith("inputs.")
        for source in mapped.sources
    ]
    return PortValues(
        name=dump.name,
        by_case={case: found for case, found in values.items() if found},
        precision=port_precision(results),
        problems=(*dump.problems, *(sentence for kind, sentence in told.items() if kind != UNKNOWN)),
        notes=(told[UNKNOWN],) if UNKNOWN in told else (),
        declares=mapping.declares,
    )


def golden_values(
    dump: Dump, mapping: NameMap, goldens: Sequence[GoldenCase], *, others: Collection[str] = ()
) -> PortValues:
    """Find out what each array of a dump is, to hold it against these goldens; see `port_values`."""
    shapes = {
        golden.id: {part: tuple(entry["shape"]) for part, entry in golden.parts.entries.items()}
        for golden in goldens
    }
    return port_values(dump, mapping, case_ids=tuple(shapes), parts_of=shapes.__getitem__, others=others)


def _by_case(
    dump: Dump, case_ids: Sequence[str], *, others: Collection[str]
) -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """Sort names by case: for each, the full name by the name without the case. And begin to list trouble."""
    found: dict[str, dict[str, str]] = {case: {} for case in case_ids}
    troubles: dict[str, list[str]] = {kind: [] for kind in TROUBLES}
    foreign = {case for case, _ in map(located, dump.names) if case is not None and case not in found}
    passed_over = foreign & {*others, *(case.id for case in all_cases())} if foreign else foreign
    for full in dump.names:
        case, name = located(full)
        if case not in found and case not in passed_over and len(found) == 1:
            case, name = next(iter(found)), full  # a port's own names may have a slash, too
        if case is None:
            troubles["no case"].append(full)
        elif case in found and name in found[case]:
            troubles["twice"].append(full)
        elif case in found:
            found[case][name] = full
        elif case not in passed_over and case not in troubles["unknown case"]:
            troubles["unknown case"].append(case)
    return found, troubles


def _case_values(
    dump: Dump,
    mapping: NameMap,
    case: str,
    names: Mapping[str, str],
    *,
    shapes: Mapping[str, tuple[int, ...]],
    troubles: dict[str, list[str]],
) -> CaseValues:
    """Find the parts of one case."""
    mapped, unknown = mapping.mapped(tuple(names))
    troubles[UNKNOWN] += [names[name] for name in unknown if name not in shapes]
    # Ids of the golden mean themselves, whatever the map.
    own = [Mapped(name, (name,), itself) for name in unknown if name in shapes]
    made: dict[str, Mapped] = {}
    for one in (*mapped, *own):
        if one.part in made:
            troubles["twice"].append(f"{case}/{one.part}")
        elif not _can_be_made([dump.shape(names[source]) for source in one.sources], one):
            troubles["cannot be made"].append(f"{case}/{one.part}")
        else:
            made[one.part] = one
    return CaseValues(case=case, dump=dump, made=made, dumped=names, shapes=shapes)


def _can_be_made(shapes: Sequence[tuple[int, ...]], mapped: Mapped) -> bool:
    """Whether a part can be made of arrays of these shapes; none is read for that, and zeros take no memory."""
    try:
        mapped.make([np.zeros(shape, dtype=np.float32) for shape in shapes])
    except (ValueError, IndexError, TypeError, MemoryError):  # BadInput is a ValueError
        return False
    return True


def _counted(names: Sequence[str], one: str, many: str) -> str:
    """Count names and give the first few: `2 names (a, b) fit`."""
    first = ", ".join(named(name) for name in names[:TOLD]) + (", ..." if len(names) > TOLD else "")
    noun, _, verb = (one if len(names) == 1 else many).partition(" ")
    return f"{len(names)} {noun} ({first}) {verb}"


TROUBLES: Mapping[str, Callable[[Sequence[str]], str]] = {
    "no case": lambda names: (
        f"{_counted(names, 'name names', 'names name')} no case, and there are several goldens; write CASE/NAME"
    ),
    "unknown case": lambda names: (
        f"{_counted(names, 'case of', 'cases of')} the dump is none that the goldens know; write CASE/NAME with "
        "the id of a case"
    ),
    UNKNOWN: lambda names: (
        f"{_counted(names, 'name fits', 'names fit')} nothing that the map knows; leave out what is no part, or "
        "give a map that knows it with --map"
    ),
    "twice": lambda names: (
        f"{_counted(names, 'array stands', 'arrays stand')} for a part that an earlier one gives, and the first "
        "counts; leave the others out"
    ),
    "cannot be made": lambda names: (
        f"{_counted(names, 'part fails', 'parts fail')} to come out of arrays of the shapes in the dump; compare "
        "them with those that the map expects"
    ),
}
"""A sentence for each kind of trouble with names."""
