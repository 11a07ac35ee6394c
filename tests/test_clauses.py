"""The ties between spec, code and tests: every clause stands on a page, in the code and in a test's name."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PAGES = ("00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "15")
"""Sections that are written."""

DEFINITION = re.compile(r"\*\*\(([A-Z]\d+)\)\*\*")
MENTION = re.compile(r"\(([A-Z]\d+(?:(?:, | and | to )[A-Z]\d+)*)\)")
TEST = re.compile(r"^ *def test_((?:[a-z]\d+_)(?:(?:to_)?[a-z]\d+_)*)", re.MULTILINE)
PAGE_NAME = re.compile(r"spec/([\w./-]+\.md)(?: \(([A-Z]\d+[^)]*)\))?")


def expanded(text: str) -> list[str]:
    """List the clauses of a mention: `T1 to T3` and `T1, T2, T3` are the same three."""
    clauses: list[str] = []
    for part in re.split(r", | and ", text):
        first, _, last = part.partition(" to ")
        if last:
            assert first[0] == last[0], f"a range over two letters: {part}"
            clauses += [f"{first[0]}{number}" for number in range(int(first[1:]), int(last[1:]) + 1)]
        else:
            clauses.append(first)
    return clauses


def mentions(text: str) -> list[str]:
    """List every clause that a text mentions in brackets."""
    return [clause for found in MENTION.findall(text) for clause in expanded(found)]


def named_for(text: str) -> list[str]:
    """List every clause that a test is named for: `test_t1_t2_...`, `test_t1_to_t9_...`."""
    clauses = []
    for found in TEST.findall(text):
        words = found.rstrip("_").upper().replace("_TO_", " to ").replace("_", ", ")
        clauses += expanded(words)
    return clauses


def read(folder: Path, pattern: str) -> dict[Path, str]:
    """Read the files of a folder."""
    return {path: path.read_text(encoding="utf-8") for path in sorted(folder.glob(pattern))}


def faults(root: Path) -> list[str]:
    """Say what is untied below a root that holds `spec`, `ref` and `tests`."""
    pages, code = read(root / "spec", "[0-9][0-9]-*.md"), read(root / "ref", "**/*.py")
    tests = read(root / "tests", "**/test_*.py")
    found = []

    homes = {clause: path.name for path, text in pages.items() for clause in DEFINITION.findall(text)}
    counts = Counter(clause for text in pages.values() for clause in DEFINITION.findall(text))
    found += [f"{clause} is used {count} times" for clause, count in counts.items() if count > 1]
    letters = {(clause[0], page) for clause, page in homes.items()}
    for kind, position in (("letter", 0), ("page", 1)):
        several = Counter(pair[position] for pair in letters)
        found += [f"{kind} {name} has {count} of the other" for name, count in several.items() if count > 1]

    in_code = {clause for text in code.values() for clause in mentions(text)}
    in_tests = {clause for text in tests.values() for clause in named_for(text)}
    found += [
        f"{clause} of {page} has no tag in the code" for clause, page in homes.items() if clause not in in_code
    ]
    found += [f"{clause} of {page} has no test" for clause, page in homes.items() if clause not in in_tests]
    for path, text in (*code.items(), *pages.items()):
        strange = sorted(set(mentions(text)) - set(homes))
        found += [f"{path.name} mentions {clause}, which is on no page" for clause in strange]
    for path, text in tests.items():
        found += [
            f"{path.name} tests {clause}, which is on no page"
            for clause in sorted(set(named_for(text)) - set(homes))
        ]

    for path, text in code.items():
        for page, clauses in PAGE_NAME.findall(text):
            if not (root / "spec" / page).is_file():
                found.append(f"{path.name} names spec/{page}, which does not exist")
            elif clauses:
                elsewhere = [clause for clause in expanded(clauses) if homes.get(clause, page) != page]
                found += [f"{path.name} looks for {clause} on spec/{page}" for clause in elsewhere]
    return found


def test_every_clause_stands_on_a_page_in_the_code_and_in_the_name_of_a_test():
    assert faults(ROOT) == []


@pytest.mark.parametrize("number", PAGES)
def test_every_written_section_has_one_page(number):
    assert len(list((ROOT / "spec").glob(f"{number}-*.md"))) == 1


def test_every_page_opens_with_its_number_and_title_and_has_clauses_with_must():
    for path, text in read(ROOT / "spec", "[0-9][0-9]-*.md").items():
        assert re.match(rf"# 0?{int(path.name[:2])}\.? \w", text), path.name
        assert DEFINITION.search(text), path.name
        assert "MUST" in text, path.name


# ------------------------------------------------------------------- the checker itself can find faults

GOOD = {
    "spec/07-windows.md": "# 7 Windows\n- **(W1)** MUST\n- **(W2)** MUST, see (W1).\n",
    "ref/a.py": '"""Spec: spec/07-windows.md (W1 to W2)"""\nx = 1  # (W1)\n',
    "tests/test_a.py": "def test_w1_w2_are_so(): ...\n",
}


def tree(root: Path, changes: dict[str, str]) -> list[str]:
    """Write a small project and say what is untied in it."""
    for name, text in (GOOD | changes).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return faults(root)


def test_a_sound_tree_has_no_faults(tmp_path):
    assert tree(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("ref/a.py", "x = 1  # (W1)\n", "W2 of 07-windows.md has no tag in the code"),
        ("ref/a.py", "# (W1, W2)\n# (W3)\n", "a.py mentions W3, which is on no page"),
        ("ref/a.py", "# (W1 to W3)\n", "a.py mentions W3, which is on no page"),
        ("ref/a.py", "# (W1, W2) spec/07-gone.md (W1)\n", "a.py names spec/07-gone.md, which does not exist"),
        ("tests/test_a.py", "def test_w1_is_so(): ...\n", "W2 of 07-windows.md has no test"),
        ("tests/test_a.py", "def test_w1_to_w3_are_so(): ...\n", "test_a.py tests W3, which is on no page"),
        ("tests/vision/test_b.py", "def test_v1_is_so(): ...\n", "test_b.py tests V1, which is on no page"),
        ("spec/07-windows.md", "- **(W1)**\n- **(W2)**\n- **(W2)**\n", "W2 is used 2 times"),
        (
            "spec/07-windows.md",
            "- **(W1)**\n- **(W2)** see (W7)\n",
            "07-windows.md mentions W7, which is on no page",
        ),
        ("spec/08-merger.md", "- **(W1)**\n", "W1 is used 2 times"),
        ("spec/08-merger.md", "- **(W3)**\n", "letter W has 2 of the other"),
        ("spec/07-windows.md", "- **(W1)**\n- **(W2)**\n- **(X1)**\n", "page 07-windows.md has 2 of the other"),
    ],
)
def test_each_fault_is_found(tmp_path, name, text, fault):
    assert fault in tree(tmp_path, {name: text})


def test_a_tag_that_looks_on_another_page_is_found(tmp_path):
    changes = {
        "spec/08-merger.md": "- **(M1)**\n",
        "ref/b.py": "# (M1), spec/07-windows.md (M1)\n",
        "tests/test_b.py": "def test_m1_is_so(): ...\n",
    }
    assert tree(tmp_path, changes) == ["b.py looks for M1 on spec/07-windows.md"]
