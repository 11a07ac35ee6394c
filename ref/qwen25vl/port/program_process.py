"""Section 15 - processes of a port: how does a foreign program end, and what did it say last?"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from typing import IO

LAST_WORDS_BYTES = 4096
"""How much of the end of what a program said is looked at."""

LAST_WORDS_SIGNS = 300
"""How much of it a sentence quotes."""

PATIENCE_S = 1.0
"""Seconds to wait for the end of the output of a program that has ended."""


def finished(command: Sequence[str], *, timeout_s: float) -> tuple[int | None, str]:
    """Run a command in a process group of its own, wait for it, and end whatever is left of the group.

    Args:
        command: words.
        timeout_s: seconds that it may take.

    Returns:
        Its exit code, minus the number of a signal that ended it, or None if it took too long; and the end of
        what it wrote to stdout and stderr, as the end of a sentence.

    Raises:
        OSError: if it cannot be started.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    kept = bytearray()
    reader = threading.Thread(target=_keep_end, args=(process.stdout, kept), daemon=True)
    reader.start()
    code = None
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout=timeout_s)
    finally:  # Ctrl-C comes this way, too; and so do children that a program leaves behind
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join(timeout=PATIENCE_S)  # a child that left the group may hold the pipe
    return code, last_words(bytes(kept))


def _keep_end(pipe: IO[bytes], kept: bytearray) -> None:
    """Read all that a program says, so that it never waits for a reader, and keep the end of it."""
    with pipe:
        while chunk := os.read(pipe.fileno(), 1 << 16):
            kept += chunk
            del kept[:-LAST_WORDS_BYTES]


def ending(code: int | None, *, timeout_s: float) -> str:
    """Say how a program ended that did not end well."""
    if code is None:
        return f"took longer than {timeout_s:g} s and was stopped; give it more time with --timeout"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"was ended by {name}"
    return f"failed with exit code {code}"


def last_words(said: bytes) -> str:
    """Quote the end of what a program said, as the end of a sentence; nothing if it said nothing."""
    text = said.decode("utf-8", errors="replace")
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    if len(text) > LAST_WORDS_SIGNS:
        text = "... " + text[-LAST_WORDS_SIGNS:]
    return f"; it said: {text}" if text else ""
