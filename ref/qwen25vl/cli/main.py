"""The command line: `qwen25vl run | golden | check | explain | show | names`."""

import argparse
import io
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from qwen25vl import __version__
from qwen25vl.cli import check, explain, golden, names, run, show
from qwen25vl.errors import BadInput

USAGE_ERROR = 2
"""Exit code for a wrong option or bad input."""

TERMINATED = 143
"""Exit code after SIGTERM, likewise."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0; 2 for usage or bad input; of a check 1 or 3."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a sign that the terminal lacks is shown as an escape
        sys.stdout.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    _heed_termination()
    try:
        code: int = options.function(options)
        print(end="", flush=True)  # a reader that has gone is noticed here, not at the end of Python
    except KeyboardInterrupt:
        return _said(options, "stopped", code=INTERRUPTED)
    except BrokenPipeError:  # the reader, `head` for one, has gone
        _discard_output()
        return 0
    except BadInput as error:
        return _said(options, str(error))
    except OSError as error:
        if error.filename is None:  # what is printed goes to a disk that is full
            _discard_output()
            return _said(options, f"cannot write the output ({error.strerror or error}); make room for it")
        return _said(
            options, f"cannot use {error.filename!r} ({error.strerror or error}); check it and its rights"
        )
    except MemoryError as error:
        return _said(
            options,
            f"not enough memory ({str(error) or 'no detail'}); take a smaller --max-pixels, fewer pictures, "
            "a shorter prompt or --precision float32",
        )
    return code


def _heed_termination() -> None:
    """End on SIGTERM as on Ctrl-C, so that what was begun is taken away and no child outlives its parent."""
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TERMINATED))


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the list of all options."""

    def error(self, message: str) -> NoReturn:
        """End with the sentence."""
        self.exit(USAGE_ERROR, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = _Parser(
        prog="qwen25vl",
        description="The executable specification of Qwen2.5-VL: run it, and write golden values.",
        epilog="`qwen25vl COMMAND --help` explains a command and shows examples.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"qwen25vl {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (run, golden, check, explain, show, names):
        module.add_parser(commands)
    return parser


def _discard_output() -> None:
    """Let nothing more be written to stdout, not at the end of Python either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _said(options: argparse.Namespace, sentence: str, *, code: int = USAGE_ERROR) -> int:
    """Tell the user why nothing came of it."""
    print(f"qwen25vl {options.command}: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
