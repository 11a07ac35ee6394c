"""Section 15 - a case of a corpus: how does it get into its directory, and who writes it?"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qwen25vl.api import load
from qwen25vl.errors import BadInput
from qwen25vl.golden.arithmetic import in_arithmetic
from qwen25vl.golden.case import Lab
from qwen25vl.golden.corpus_plan import PlannedCase
from qwen25vl.golden.corpus_resume import CorpusSettings
from qwen25vl.golden.export import remove_exports, write_export
from qwen25vl.golden.folder import replacing
from qwen25vl.golden.noise import write_noise
from qwen25vl.golden.write_case import write_case


@dataclass(frozen=True)
class LabRecipe:
    """How a lab is opened, in this process or in another."""

    model: str | Path
    """A checkpoint's directory, or a bundled name."""
    precision: str
    arithmetic: str
    allow_nan: bool = False

    def lab(self) -> Lab:
        """Open the checkpoint.

        Raises:
            BadInput: as `load` and `in_arithmetic`.
        """
        model = load(self.model, precision=self.precision, allow_nan=self.allow_nan)
        return in_arithmetic(Lab(model), self.arithmetic)


@dataclass(frozen=True)
class CaseWriter:
    """Writes cases into the directory of a corpus."""

    out: Path
    settings: CorpusSettings
    exports: tuple[str, ...] = ()
    """Forms that every case is exported in, too."""

    def write(self, planned: PlannedCase, lab: Lab, *, watch: Callable[[str], None] = lambda name: None) -> None:
        """Write a case, its noise and its exports; what is there of an earlier run is replaced.

        Raises:
            BadInput: if it cannot be computed or written; the sentence names the case.

        Spec: spec/15-golden-values.md (X1, X22, X23)
        """
        case, directory = planned.case, self.out / planned.case.id
        remove_exports(directory)  # they were of the golden that is replaced
        try:
            with replacing(directory) as folder:
                manifest, run = write_case(
                    folder, case, lab, taps=planned.taps, about=self.settings.about, watch=watch
                )
                write_noise(folder, case, lab, run=run, manifest=manifest, plan=self.settings.noise)
                for form in self.exports:
                    write_export(folder, manifest, form=form)
        except BadInput as refusal:
            if case.id in str(refusal):
                raise
            raise BadInput(f"the case {case.id}: {refusal}") from refusal
