"""A small corpus of registered cases, written as the command line writes it."""

from pathlib import Path

from qwen25vl.golden.corpus import WrittenCorpus, write_corpus
from qwen25vl.golden.corpus_case import LabRecipe
from qwen25vl.golden.corpus_plan import PlannedCase, planned_cases
from qwen25vl.golden.corpus_resume import CorpusSettings
from qwen25vl.golden.manifest import about_model
from qwen25vl.golden.noise import NO_NOISE, NoisePlan
from qwen25vl.golden.registry import chosen_cases

FEW = ("two_windows_side_by_side", "gelu_is_not_its_approximation", "answer_goes_on_behind_a_picture")
"""One case with whole numbers alone, one of a function, and one of a run with an answer."""

RECIPE = LabRecipe("tiny", "float64", "blas")


def settings(
    *, recipe: LabRecipe = RECIPE, noise: NoisePlan = NO_NOISE, taps: str | None = None
) -> CorpusSettings:
    """Say what the cases of a corpus of tiny have in common."""
    about = about_model(recipe.lab().model, name="tiny", arithmetic=recipe.arithmetic)
    return CorpusSettings(about=about, taps=taps, noise=noise)


def planned(ids: tuple[str, ...] = FEW, *, taps: str | None = None) -> list[PlannedCase]:
    """Plan registered cases."""
    return planned_cases(chosen_cases(ids), RECIPE.lab(), taps=taps)


def written(
    out: Path,
    ids: tuple[str, ...] = FEW,
    *,
    recipe: LabRecipe = RECIPE,
    noise: NoisePlan = NO_NOISE,
    taps: str | None = None,
    **options,
) -> WrittenCorpus:
    """Write a corpus."""
    said = settings(recipe=recipe, noise=noise, taps=taps)
    return write_corpus(out, planned(ids, taps=taps), recipe, settings=said, **options)


def contents(out: Path) -> dict[str, bytes]:
    """Read every file below a directory, hidden ones too."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
