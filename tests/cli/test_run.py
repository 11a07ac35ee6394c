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

import numpy as np
import pytest

import qwen25vl
from qwen25vl.cli.run import _Printer
from qwen25vl.generate.answer import Step
from qwen25vl.generate.stream import streamed_steps

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
        "kind": "image",
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


# -------------------------------------------------------------------------------------- decoding


def reported(command, *options):
    """The JSON report of a short run."""
    return json.loads(command("run", "What colour?", "--max-new-tokens", 6, "--json", *options).out)


WARM = ("--temperature", 1.5, "--top-k", 0)


def generated(**settings):
    """What the same run gives in Python."""
    model = qwen25vl.load("tiny")
    inputs = model.prepare([{"role": "user", "content": [{"type": "text", "text": "What colour?"}]}])
    return model.generate(inputs, max_new_tokens=6, **settings)


def test_without_options_the_checkpoints_own_settings_count_and_greedy_leaves_them_out(command):
    ids = reported(command)["ids"]
    assert ids == generated()[0].ids
    assert reported(command, "--greedy")["ids"] == generated(greedy=True)[0].ids
    assert (
        reported(command, "--greedy", "--repetition-penalty", 1.05)["ids"] == ids != generated(greedy=True)[0].ids
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.0},
        {"temperature": 1.5},
        {"temperature": 2.0, "top_k": 3, "seed": 4},
        {"temperature": 2.0, "top_p": 0.5, "seed": 4},
        {"temperature": 2.0, "min_p": 0.2, "seed": 1},
        {"temperature": 1.5, "repetition_penalty": 1.8},
    ],
    ids=str,
)
def test_every_option_reaches_the_answer(command, settings):
    options = [part for key, value in settings.items() for part in (f"--{key.replace('_', '-')}", value)]
    ids = reported(command, *options)["ids"]
    assert ids == generated(**settings)[0].ids
    for key in settings:  # blindness check: without any one of them it is another answer
        others = {name: value for name, value in settings.items() if name != key}
        if settings != {"temperature": 0.0}:  # which is all but what the checkpoint says
            assert generated(**others)[0].ids != ids, key


def test_several_answers_are_listed_and_the_first_is_the_answer(command):
    report = reported(command, *WARM, "--num-return-sequences", 3)
    assert list(report) == ["text", "ids", "prompt_tokens", "stop", "media", "answers"]
    want = generated(temperature=1.5, top_k=0, num_return_sequences=3)
    assert [answer["ids"] for answer in report["answers"]] == [answer.ids for answer in want]
    assert report["answers"][0] == {key: report[key] for key in ("text", "ids", "stop")}


def test_several_answers_are_printed_each_below_its_number(command):
    options = (*WARM, "--num-return-sequences", 2)
    first, second = reported(command, *options)["answers"]
    finished = command("run", "What colour?", "--max-new-tokens", 6, *options)
    assert finished.out == f"[1]\n{first['text']}\n[2]\n{second['text']}\n"


def test_logprobs_are_listed_or_shown_with_each_token(command):
    report = reported(command, *WARM, "--logprobs", "--num-return-sequences", 2)
    want = generated(temperature=1.5, top_k=0, num_return_sequences=2)
    assert report["logprobs"] == want[0].logprobs
    assert [answer["logprobs"] for answer in report["answers"]] == [answer.logprobs for answer in want]
    lines = command("run", "What colour?", "--max-new-tokens", 6, *WARM, "--logprobs").out.splitlines()
    assert len(lines) == len(want[0].ids)
    shown = [line.split(maxsplit=2) for line in lines]
    assert [int(token) for _, token, _ in shown] == want[0].ids
    assert [float(logprob) for logprob, _, _ in shown] == [round(value, 4) for value in want[0].logprobs]
    assert "".join(json.loads(text) for _, _, text in shown) == want[0].text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ("--greedy", "--temperature", 0.5),
            "greedy decoding takes the best score each time, where temperature has",
        ),
        (("--greedy", "--top-k", 5), "greedy decoding takes the best score each time, where top_k has no effect"),
        (("--temperature", 0, "--min-p", 0.1), "temperature 0 takes the best score each time, where min_p has no"),
        (("--greedy", "--num-return-sequences", 2), "num_return_sequences 2 needs sampling"),
        (("--top-p", 1.5), "top_p must be a number from 0 to 1, got 1.5; 1 switches it off"),
        (("--temperature", -1), "temperature must be 0, or a number from 1e-15 to 1e15, got -1"),
        (("--temperature", "nan"), "temperature must be 0, or a number"),
        (
            ("--seed", 2**64),
            "seed must be a whole number from 0 to 18446744073709551615, got 18446744073709551616",
        ),
        (
            ("--num-return-sequences", 0),
            "argument --num-return-sequences: need a whole number of at least 1, got '0'",
        ),
    ],
    ids=str,
)
def test_settings_that_contradict_or_leave_their_range_are_refused_in_one_sentence(refused, options, says):
    assert refused("run", "x", *options).startswith(says)


def test_an_emoji_over_several_tokens_is_printed_whole(capsys):
    model = qwen25vl.load("tiny")
    ids = model.processor.tokenizer.encode("a👩‍👩‍👧b")
    assert len(ids) > 8
    writes = []
    none = np.empty(0, dtype=np.float32)
    steps = [Step(token, none, none, 0.0, False, i == len(ids) - 1) for i, token in enumerate(ids)]
    printer = _Printer(several=False, logprobs=False)
    for step in streamed_steps(steps, model.processor.tokenizer):
        printer.add(step)
        writes.append(capsys.readouterr().out)
    assert [piece for piece in writes if piece] == ["a", *"👩‍👩‍👧", "b\n"]


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
