"""Section 04 - sandbox: what may a chat template do, and how much of it?

A template comes with a checkpoint, from anybody. It is a program: it may loop for hours, or fill the memory with
one multiplication. So a template that is not a known one runs in a process of its own, which is this file run as
a script; it imports nothing of the package, to start quickly.
"""

import contextlib
import json
import marshal
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    """`{% generation %}` marks what an assistant wrote; here it only renders its body."""

    tags: set[str] = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> jinja2.nodes.Node:
        """Take the body up to `{% endgeneration %}`."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def sandboxed_text(template: str, values: Mapping[str, Any]) -> str:
    """Render a template in the environment that upstream gives it. It may fail in any way that an expression can.

    Args:
        template: the text of the template.
        values: what it sees, plain Python values.

    Source:   transformers 5.23.0 utils/chat_template_utils.py, render_jinja_template
    Spec:     spec/04-prompt.md (P12, P24)
    """
    # (P12, P24) no loader, so nothing to include; no attribute that begins with an underscore
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)
    return environment.from_string(template).render(values)


def _refuse(message: str) -> NoReturn:
    """Let a template say why it does not render."""
    raise jinja2.TemplateError(message)


def _json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    """Write JSON as it is; jinja's own filter would escape HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def main(memory_bytes: int, seconds: int, longest: int) -> None:
    """Render what stands on standard input, within limits, and write the prompt or the fault. (P25)"""
    template, values = marshal.loads(sys.stdin.buffer.read())
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on Windows; on macOS not all of them
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    try:
        text = sandboxed_text(template, values)
        answer = ("prompt", text) if len(text) <= longest else ("fault", f"a prompt of {len(text)} characters")
    except Exception as fault:
        answer = ("fault", ": ".join(filter(None, (type(fault).__name__, str(fault))))[:1000])
    sys.stdout.buffer.write(marshal.dumps(answer))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
