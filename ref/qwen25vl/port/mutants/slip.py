"""Section 15 - slips: what is there to say of a fault that nobody files an issue about?"""

from qwen25vl.port.mutants.mutant import AnySwap, Mutant


def slip(bug: str, title: str, mechanism: str, clauses: tuple[str, ...], swap: AnySwap) -> Mutant:
    """Make an entry; what there is to say of a slip is always the same."""
    return Mutant(
        id=bug.replace(" ", "-").replace(".", "-").replace("_", "-").lower(),
        title=title,
        mechanism=mechanism,
        clauses=clauses,
        symptom="The first part that depends on it is another number; what an answer looks like is chance.",
        cause="A slip of the pen: no public thread is known.",
        hidden_by="Comparing only the text of an answer.",
        fix="Compare this one function with its clause, argument by argument.",
        swaps=lambda: iter((swap,)),
    )
