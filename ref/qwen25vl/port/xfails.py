"""Section 15 - expected failures: which parts does somebody know to be wrong?"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from qwen25vl.errors import BadInput
from qwen25vl.port.verdicts import PartVerdict


@dataclass(frozen=True)
class Xfails:
    """Globs over `CASE/PART`, each from a line of a file."""

    path: str = ""
    globs: tuple[str, ...] = ()

    def expected(
        self, parts: Sequence[PartVerdict], *, judged: Sequence[str] = ()
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Sort out what is known to be wrong.

        Args:
            parts: what is said of a dump.
            judged: ids of the cases that were judged; a line about another case says nothing about this dump.

        Returns:
            `CASE/PART` of every part that is wrong, suspicious or missing and expected to be; and a sentence for
            each line that nothing fits any more.

        Spec: spec/15-golden-values.md (X30)
        """
        failing = [part.name for part in parts if part.verdict not in ("exact", "noise")]
        known = tuple(name for name in failing if any(fnmatchcase(name, glob) for glob in self.globs))
        stale = [
            glob
            for glob in self.globs
            if any(fnmatchcase(case, glob.partition("/")[0]) for case in judged)
            and not any(fnmatchcase(name, glob) for name in failing)
        ]
        return known, tuple(
            f"{glob!r} in {self.path} is expected to fail, and nothing that it names does; remove the line"
            for glob in stale
        )


def read_xfails(path: Path) -> Xfails:
    """Read a file of expected failures: a glob over `CASE/PART` a line; what follows `#` is a reason.

    Raises:
        BadInput: if the file cannot be read, or a line has no `/`.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path} cannot be read ({error}); give a file with a glob over CASE/PART a line"
        ) from error
    globs = [line.partition("#")[0].strip() for line in lines]
    for i, glob in enumerate(globs, start=1):
        if glob and "/" not in glob:
            raise BadInput(f"{path}, line {i}: {glob!r} has no '/'; write CASE/PART, such as '*/logits'")
    return Xfails(str(path), tuple(glob for glob in globs if glob))
