"""Section 15 - the smoke set: which few cases catch every known bug?"""

from collections.abc import Mapping, Sequence

from qwen25vl.port.mutants.kills import FORMATS, KillMatrix


def smoke_set(matrix: KillMatrix, sizes: Mapping[str, int]) -> list[str]:
    """Choose few cases that together catch, in each precision, every bug that any case catches there.

    The case that catches most of what is left is taken next, the smaller one of two; then every case is taken out
    again that the others make superfluous. A set found in this way is small, not always the smallest.

    Args:
        matrix: as measured.
        sizes: bytes of each case, in the order of the corpus.

    Returns:
        Ids in the order of the corpus.

    Spec: spec/15-golden-values.md (X36)
    """
    caught = {case: _caught(matrix, case) for case in sizes}
    wanted = set().union(*caught.values())
    chosen: list[str] = []
    left = set(wanted)
    while left:
        best = max(sizes, key=lambda case: (len(caught[case] & left), -sizes[case]))
        chosen.append(best)
        left -= caught[best]
    for case in sorted(chosen, key=lambda case: -sizes[case]):
        others = [caught[one] for one in chosen if one != case]
        if wanted <= set().union(*others):
            chosen.remove(case)
    return [case for case in sizes if case in chosen]


def uncaught(matrix: KillMatrix, cases: Sequence[str], precision: str) -> list[str]:
    """List the bugs that none of some cases catches in a precision."""
    found = {bug for case in cases for bug, name in _caught(matrix, case) if name == precision}
    return [bug for bug in matrix.kills if bug not in found]


def _caught(matrix: KillMatrix, case: str) -> set[tuple[str, str]]:
    """Return the pairs of bug and precision that a case catches."""
    return {
        (bug, precision)
        for bug, kills in matrix.kills.items()
        for kill in kills
        for precision in FORMATS
        if kill.case == case and precision in kill.units
    }
