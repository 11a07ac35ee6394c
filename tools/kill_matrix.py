"""Measure which case of the corpus catches which known bug, and write what follows from it.

    python tools/kill_matrix.py [--jobs N] [--pages | --new]

Writes ref/qwen25vl/port/mutants/kills.json, ref/qwen25vl/golden/smoke.json, spec/known-bugs.md and
spec/measured/kill-matrix.md with its picture. With --pages, the pages alone, from the measurement that is there;
with --new, only the bugs that it does not have yet are measured (twins are then looked for among them alone).
"""

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread of BLAS for each process

ROOT = Path(__file__).resolve().parents[1]
"""Of the project."""

sys.path.insert(0, str(ROOT / "tests"))

import numpy as np
from tqdm import tqdm

import explain_dumps
import qwen25vl
import small_goldens
from explain_dumps import CASES
from qwen25vl.golden.case import Case
from qwen25vl.golden.registry import SMOKE, all_cases
from qwen25vl.plot.kills import kill_picture
from qwen25vl.plot.save import figure_bytes
from qwen25vl.port.mutants.catalogue import every_mutant, known_mutants
from qwen25vl.port.mutants.kills import FORMATS, KILLS, KillMatrix, kill_matrix, kills_text
from qwen25vl.port.mutants.matrix import Cell, cells_of, matrix_of
from qwen25vl.port.mutants.pages import kills_page, known_bugs_page
from qwen25vl.port.mutants.smoke import smoke_set
from qwen25vl.port.mutants.systematic import systematic_mutants
from qwen25vl.port.policy import read_policy

PAGES = ROOT / "spec"
"""Where pages lie."""


def case_cells(case_id: str, known: frozenset[str] = frozenset()) -> tuple[str, int, list[Cell]]:
    """Write a case with its noise, and run it with every bug but the known; return its bytes, too."""
    mutants = [mutant for bug, mutant in every_mutant().items() if bug not in known]
    case, golden = CASES[case_id], explain_dumps.golden(case_id)
    size = sum(path.stat().st_size for path in golden.directory.iterdir())
    cells = [
        cell
        for precision in FORMATS
        for cell in cells_of(
            case, golden, small_goldens.lab(), mutants, policy=read_policy(None), precision=precision
        )
    ]
    shutil.rmtree(golden.directory.parent)
    return case_id, size, cells


def measured(jobs: int, before: KillMatrix | None) -> tuple[KillMatrix, dict[str, int]]:
    """Run everything, or what was not measured before; return the matrix, and the bytes of each case."""
    known = frozenset(before.kills if before else ())
    cases = [*CASES]
    found: dict[str, tuple[int, list[Cell]]] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(case_cells, case, known) for case in cases]
        for done in tqdm(as_completed(waiting), total=len(waiting), unit="case"):
            case_id, size, cells = done.result()
            found[case_id] = size, cells
    cells = [cell for case in cases for cell in found[case][1]]
    matrix = matrix_of(cells, [bug for bug in every_mutant() if bug not in known])
    kills = {**(before.kills if before else {}), **matrix.kills}
    twins = {**(before.twins if before else {}), **matrix.twins}
    sizes = {case: found[case][0] for case in cases}
    return KillMatrix({bug: kills[bug] for bug in every_mutant()}, twins), sizes


def write_pages(matrix: KillMatrix) -> None:
    """Write what people read."""
    known, systematic, cases = known_mutants(), systematic_mutants(), all_cases()
    (PAGES / "known-bugs.md").write_text(known_bugs_page(known, matrix), encoding="utf-8")
    page = kills_page(
        matrix,
        known=known,
        systematic=systematic,
        cases=cases,
        smoke=json.loads(SMOKE.read_text(encoding="ascii"))["cases"],
        made_with={"qwen25vl": qwen25vl.__version__, "numpy": np.__version__, "checkpoint": "tiny"},
    )
    (PAGES / "measured" / "kill-matrix.md").write_text(page, encoding="utf-8")
    (PAGES / "measured" / "kill-matrix.png").write_bytes(figure_bytes(picture(matrix, cases), ending="png"))


def picture(matrix: KillMatrix, cases: Sequence[Case]):
    """Draw the matrix in float32, or in bfloat16 where that alone sees a bug."""
    every = every_mutant()
    column = {case.id: i for i, case in enumerate(cases)}
    units = np.zeros((len(every), len(cases)))
    for row, bug in enumerate(every):
        for kill in matrix.of(bug):
            units[row, column[kill.case]] = max(kill.units.values())
    groups = [(name, len([*group])) for name, group in groupby(m.mechanism for m in known_mutants().values())]
    families = [(name, len([*group])) for name, group in groupby(case.family for case in cases)]
    return kill_picture(
        units,
        groups=[*groups, ("systematic faults", len(systematic_mutants()))],
        families=families,
        title=f"{len(every)} bugs, {len(cases)} cases",
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--pages", action="store_true", help="write the pages alone")
    parser.add_argument("--new", action="store_true", help="measure only bugs that the file does not have")
    options = parser.parse_args()
    if not options.pages:
        matrix, sizes = measured(options.jobs, kill_matrix() if options.new else None)
        KILLS.write_text(kills_text(matrix), encoding="ascii")
        note = "generated by `make kills`: the fewest cases found that catch every known bug"
        smoke = {"note": note, "cases": smoke_set(matrix, sizes)}
        SMOKE.write_text(json.dumps(smoke, indent=1) + "\n", encoding="ascii")
    kill_matrix.cache_clear()
    write_pages(kill_matrix())
    print(f"measured with Python {platform.python_version()}; see spec/measured/kill-matrix.md")


if __name__ == "__main__":
    main()
