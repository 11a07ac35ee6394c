"""The pytest plugin of qwen25vl, as pytest finds it: its options, and nothing else until one of them is given.

pytest loads this module in every project of the environment, so it stands outside the package and imports nothing
of it: NumPy and the model are loaded when golden values are asked for (`qwen25vl.pytest_plugin`).
"""

import pytest

OPTIONS = {
    "golden": ("DIR", "golden values: a case or a corpus, as `qwen25vl golden` writes them; one test item a case"),
    "dump": ("DUMP", "what the port computed, as for `qwen25vl check`"),
    "program": (
        "CMD",
        "run a port instead of reading a dump: './my_port {case} {out}'; exit code 77 skips a case",
    ),
    "map": ("WHICH", "what names in the dump mean: ours, hf, gguf or a TOML file (default: ours)"),
    "model": ("DIR", "checkpoint of the golden values, with which stages are judged alone (default: tiny)"),
    "precision": ("WHICH", "format of the port's arithmetic (default: that of its numbers)"),
    "tolerances": ("FILE", "limits of your own, as tolerances.toml"),
    "xfails": ("FILE", "what is known to be wrong: CASE/PART a line"),
    "timeout": ("S", "seconds that the program may take for a case (default: 60)"),
}
"""Each option behind `--qwen25vl-`: what it is given, and what for."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Describe the options."""
    group = parser.getgroup("qwen25vl", "golden values of Qwen2.5-VL")
    for name, (metavar, meaning) in OPTIONS.items():
        kind = float if name == "timeout" else str
        group.addoption(f"--qwen25vl-{name}", dest=f"qwen25vl_{name}", metavar=metavar, type=kind, help=meaning)


def pytest_configure(config: pytest.Config) -> None:
    """Bring the rest in if golden values are asked for.

    Raises:
        pytest.UsageError: if the options do not fit together.
    """
    golden, dump, program = (config.getoption(f"qwen25vl_{name}") for name in ("golden", "dump", "program"))
    if golden is None and dump is None and program is None:
        return
    if golden is None:
        raise pytest.UsageError("a dump or a program is given but no golden values; give --qwen25vl-golden DIR")
    if (dump is None) == (program is None):
        raise pytest.UsageError("--qwen25vl-golden needs either --qwen25vl-dump DUMP or --qwen25vl-program CMD")
    from qwen25vl.pytest_plugin import GoldenPlugin

    config.pluginmanager.register(GoldenPlugin(config), "qwen25vl-golden")
