"""`qwen25vl golden OUT`: write the corpus, a golden of every case."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qwen25vl.api import load
from qwen25vl.cli.golden_options import arithmetic_of, is_bundled, model_name, noise_plan
from qwen25vl.cli.media_options import printable
from qwen25vl.cli.options import Progress, print_json
from qwen25vl.errors import BadInput
from qwen25vl.golden.case import Case, Lab
from qwen25vl.golden.corpus import WrittenCorpus, write_corpus
from qwen25vl.golden.corpus_case import LabRecipe
from qwen25vl.golden.corpus_place import check_corpus_place
from qwen25vl.golden.corpus_plan import PlannedCase, planned_cases, sliced
from qwen25vl.golden.corpus_resume import CorpusSettings
from qwen25vl.golden.estimate import LARGE_BYTES
from qwen25vl.golden.export import EXPORTS
from qwen25vl.golden.manifest import about_model
from qwen25vl.golden.registry import all_cases, chosen_cases
from qwen25vl.table import aligned, byte_text, count_text


def listed_cases(options: argparse.Namespace) -> int:
    """List the chosen cases, and write nothing."""
    cases = _chosen(options)
    if options.slice is not None:
        lab = Lab(load(options.model, precision=options.precision))
        planned = planned_cases(cases, lab, taps=_taps(options))
        cases = [one.case for one in sliced(planned, i=options.slice[0], n=options.slice[1])]
    if options.json:
        print_json({"cases": [_facts(case) for case in cases]})
    else:
        rows = [
            ("case", "family", "tier", "title"),
            *((case.id, case.family, case.tier, case.title) for case in cases),
        ]
        print(f"{aligned(rows)}\n\n{count_text(len(cases), 'case')}")
    return 0


def written_corpus(options: argparse.Namespace) -> int:
    """Write the chosen cases, and say what was written."""
    check_corpus_place(options.out, known={case.id for case in all_cases()})
    noise = noise_plan(options)
    cases, recipe = _chosen(options), _recipe(options)
    lab = recipe.lab()
    planned = planned_cases(cases, lab, taps=_taps(options))
    if options.slice is not None:
        planned = sliced(planned, i=options.slice[0], n=options.slice[1])
    _check_taps(options, planned)
    _check_size(options, planned, lab)
    settings = CorpusSettings(
        about=about_model(lab.model, name=model_name(options), arithmetic=recipe.arithmetic),
        taps=_taps(options),
        noise=noise,
    )
    with Progress(total=len(planned), unit="case") as progress:
        corpus = write_corpus(
            options.out,
            planned,
            recipe,
            settings=settings,
            exports=tuple(dict.fromkeys(options.export or ())),
            jobs=options.jobs or 1,
            lab=lab,
            may_remove=options.yes,
            watch=progress,
        )
    if options.json:
        done = {"written": corpus.written, "kept": corpus.kept, "removed": corpus.removed}
        print_json({"out": printable(str(options.out)), **corpus.listed, **done})
    else:
        print(report(options.out, corpus))
    return 0


def _chosen(options: argparse.Namespace) -> Sequence[Case]:
    """Choose cases: of a large checkpoint those of the whole model, since the others need none."""
    tiers = () if options.cases or is_bundled(options) else ("model",)
    return chosen_cases(tuple(options.cases or ()), tiers=tiers)


def _taps(options: argparse.Namespace) -> str | None:
    """Return which taps of every case are written; None leaves it to each."""
    return options.taps if options.taps is not None or is_bundled(options) else "stages"


def _recipe(options: argparse.Namespace) -> LabRecipe:
    """Say how the checkpoint is to be opened."""
    return LabRecipe(options.model, options.precision, arithmetic_of(options), allow_nan=options.allow_nan)


def _check_taps(options: argparse.Namespace, planned: Sequence[PlannedCase]) -> None:
    """Refuse taps that no run of the cases has; a case without a run asks for none. (X13)"""
    runs = [one for one in planned if one.case.tier == "model"]
    if options.taps is not None and runs and not any(one.tap_count for one in runs):
        raise BadInput(
            f"the taps {options.taps!r} match none of the ids of {count_text(len(runs), 'run')}; give stages, "
            "insides, all, or a glob such as '*.resid_post' (`qwen25vl names` lists the ids)"
        )


def _check_size(options: argparse.Namespace, planned: Sequence[PlannedCase], lab: Lab) -> None:
    """Refuse a large corpus that nobody confirmed. (X12)"""
    size = sum(one.nbytes for one in planned)
    if size <= LARGE_BYTES or options.yes:
        return
    stages = sum(one.nbytes for one in planned_cases([one.case for one in planned], lab, taps="stages"))
    largest = max(planned, key=lambda one: one.nbytes)
    raise BadInput(
        f"this corpus would take about {size / 1e9:.1f} GB ({count_text(len(planned), 'case')}, the largest is "
        f"{largest.case.id} with {largest.nbytes / 1e9:.1f} GB); add --yes to write it all the same, or take "
        f"--taps stages ({stages / 1e9:.1f} GB), fewer --cases, a --slice, or --precision float32"
    )


def _facts(case: Case) -> dict[str, Any]:
    """Say of a case what there is to say."""
    names = ("id", "title", "family", "tier", "section", "clauses", "kills", "flags", "note", "taps")
    return {name: getattr(case, name) for name in names}


def report(out: Path, corpus: WrittenCorpus) -> str:
    """Say what is there now, and what can be done with it."""
    listed, cases = corpus.listed, corpus.listed["cases"]
    model = listed["model"]
    table = [("family", "cases", "parts", "bytes")]
    for family in dict.fromkeys(entry["family"] for entry in cases):
        table.append(_row(family, [entry for entry in cases if entry["family"] == family]))
    table.append(_row("all", cases))
    done = [
        f"{len(corpus.written)} written",
        f"{len(corpus.kept)} kept from an earlier run" if corpus.kept else "",
    ]
    done.append(f"{len(corpus.removed)} removed" if corpus.removed else "")
    exports = [form for form in EXPORTS if any(form in entry["exports"] for entry in cases)]
    lines = [
        f"a corpus of {model['name']} in {model['precision']}, {listed['arithmetic']} sums: "
        + ", ".join(filter(None, done)),
        "",
        aligned(table, right=(1, 2, 3), indent=2),
        "",
        f"  {out / 'CASE'}  one directory for each case",
        *(f"  {out / 'CASE' / EXPORTS[form]}  the same parts as {form}" for form in exports),
        f"  {out / 'corpus.json'}  the list of all cases, with hashes",
        "",
        "To check a port with it:",
        "",
        f"  qwen25vl check DUMP --golden {out}",
    ]
    return "\n".join(lines)


def _row(name: str, cases: Sequence[dict[str, Any]]) -> tuple[str, str, str, str]:
    """Sum up cases in a line of the table."""
    parts, size = (sum(entry[field] for entry in cases) for field in ("parts", "bytes"))
    return name, f"{len(cases):,}", f"{parts:,}", byte_text(size)
