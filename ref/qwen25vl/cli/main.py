"""The command line: `qwen25vl run | golden | names`."""

import argparse
import os
import sys
from collections.abc import Sequence

from qwen25vl.cli import golden, names, run
from qwen25vl.errors import BadInput

USAGE_ERROR = 2
"""Exit code for a wrong option or bad input."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, or 2 for usage or bad input."""
    parser = argparse.ArgumentParser(
        prog="qwen25vl",
        description="The executable specification of Qwen2.5-VL: run it, and write golden values.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (run, golden, names):
        module.add_parser(commands)
    options = parser.parse_args(arguments)
    try:
        code: int = options.function(options)
    except BadInput as error:
        print(f"qwen25vl {options.command}: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print(f"qwen25vl {options.command}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, `head` for one, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
