"""`qwen25vl run`: the streamed answer, the JSON report, the bar on a terminal."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import qwen25vl
from qwen25vl.cli.run import _Stream

ROOT = Path(qwen25vl.__file__).parents[1]


def test_the_text_of_all_tokens_is_printed_with_one_line_feed_behind_it(command, picture):
    plain = command("run", "--image", picture, "What is it?", "--max-new-tokens", 5)
    report = json.loads(command("run", "--image", picture, "What is it?", "--max-new-tokens", 5, "--json").out)
    assert plain.code == 0
    assert plain.out == report["text"] + "\n"
    assert plain.err == ""


def test_json_is_one_object_of_text_ids_and_what_became_of_the_pictures(command, picture):
    finished = command("run", "--image", picture, "--image", picture, "Compare.", "--max-new-tokens", 3, "--json")
    report = json.loads(finished.out)
    assert finished.out.count("\n") == 1
    assert list(report) == ["text", "ids", "prompt_tokens", "stop", "media"]
    model = qwen25vl.load("tiny")
    parts = [{"type": "image", "image": str(picture)}] * 2 + [{"type": "text", "text": "Compare."}]
    inputs = model.prepare([{"role": "user", "content": parts}])
    answer = model.generate(inputs, max_new_tokens=3)[0]
    assert (report["text"], report["ids"], report["stop"]) == (answer.text, answer.ids, answer.stop)
    assert report["prompt_tokens"] == inputs.ids.shape[1]
    entry = {
        "source": str(picture),
        "original_size": [60, 90],  # height, width
        "resized_size": [56, 84],
        "grid": [1, 4, 6],
        "tokens": 6,
    }
    assert report["media"] == [entry, entry]


def test_the_limits_reach_the_picture(command, picture):
    finished = command("run", "--image", picture, "x", "--json", "--max-pixels", 3136, "--max-new-tokens", 1)
    assert json.loads(finished.out)["media"][0]["resized_size"] == [28, 56]  # 3136 pixels at most, floored


def test_the_model_and_the_precision_are_taken(command, tiny_dir):
    reports = [
        json.loads(command("run", "x", "--json", "--max-new-tokens", 8, *options).out)
        for options in ((), ("--model", tiny_dir), ("--precision", "float64"), ("--model", "tiny-untied"))
    ]
    assert reports[0] == reports[1]
    assert reports[2]["prompt_tokens"] == reports[0]["prompt_tokens"]
    assert reports[3]["prompt_tokens"] == reports[0]["prompt_tokens"]


@pytest.mark.parametrize("text", ["plain", "é", "漢字", "👩‍👩‍👧 family", ""])
def test_a_stream_shows_whole_characters_only_and_misses_none(capsys, text):
    tokenizer = qwen25vl.load_processor("tiny").tokenizer
    stream = _Stream(tokenizer)
    shown = ""
    for token_id in tokenizer.encode(text):
        stream.add(token_id)
        shown += capsys.readouterr().out
        assert text.startswith(shown)
    stream.finish(text)
    assert shown + capsys.readouterr().out == text + "\n"


def test_bytes_that_never_become_a_character_show_at_the_end(capsys):
    tokenizer = qwen25vl.load_processor("tiny").tokenizer
    stream = _Stream(tokenizer)
    ids = tokenizer.encode("漢")[:-1]
    for token_id in ids:
        stream.add(token_id)
    assert capsys.readouterr().out == ""
    stream.finish(tokenizer.decode(ids))
    assert capsys.readouterr().out == "\ufffd\n"


# ---------------------------------------------------------------------------------- on a terminal


def terminal_output(*arguments: str, both: bool) -> tuple[str, str]:
    """Run a command with a terminal as its error stream (and as its output): return output, terminal."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))  # a terminal of no width gets no bar
    process = subprocess.Popen(
        [sys.executable, "-m", "qwen25vl.cli.main", *arguments],
        stdout=follower if both else subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(follower)
    seen = b""
    while select.select([leader], [], [], 60)[0]:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # Linux says so when the last writer has closed a terminal
            break
        if not piece:
            break
        seen += piece
    os.close(leader)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    return (out or b"").decode(), seen.decode()


def test_the_bar_is_gone_before_the_text_starts(command):
    want = command("run", "Where?", "--max-new-tokens", 4).out
    _, seen = terminal_output("run", "Where?", "--max-new-tokens", "4", both=True)
    seen = seen.replace("\r\n", "\n")
    assert "block" in seen
    bar, _, rest = seen.rpartition("\r")
    assert rest == want
    assert re.fullmatch(r" +", bar.rpartition("\r")[2])  # blanks over the bar, and back to the left


def test_the_bar_never_reaches_a_file(command):
    want = command("run", "Where?", "--max-new-tokens", 4).out
    out, seen = terminal_output("run", "Where?", "--max-new-tokens", "4", both=False)
    assert out == want
    assert "block" in seen
