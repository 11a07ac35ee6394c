"""Reports as a check would make them, from runs of `tiny`: one that is right, one with a planted fault."""

from dataclasses import replace
from functools import cache

import numpy as np

import qwen25vl
from qwen25vl.golden.main_job import MAIN_JOB
from qwen25vl.inputs import Inputs
from qwen25vl.port.verdicts import CheckReport, Evidence, PartVerdict
from qwen25vl.tap import Tap
from qwen25vl.tap_names import data_order, tap_name

FAULT = "vision.blocks.01.attn.q_rope"
"""Where the faulty run goes wrong."""

LIMITS = (4.0, 16.0)
"""Noise units above which a part is suspicious, and wrong."""

ANSWER = {"answer.ids": "11", "answer.logits": "11"}
"""Parts that the samples declare and the dump lacks, and their section."""


def inputs_of(model: qwen25vl.Model, max_pixels: int = 160 * 28 * 28) -> Inputs:
    return model.prepare(MAIN_JOB, max_pixels=max_pixels)


@cache
def runs() -> tuple[dict, dict, dict, Inputs]:
    """Taps of the truth, of a float32 run, and of a float32 run whose fault is planted at `FAULT`."""
    truth, single = (qwen25vl.load("tiny", precision=precision) for precision in ("float64", "float32"))
    inputs = inputs_of(truth)

    def turned(name: str, array: np.ndarray) -> np.ndarray | None:
        faulty[name] = array
        if name != FAULT:
            return None
        changed = array.copy()
        quarter = array.shape[-1] // 4
        changed[..., quarter : 2 * quarter] = array[..., 2 * quarter : 3 * quarter]
        faulty[name] = changed
        return changed

    wanted, right, faulty = Tap("insides"), Tap("insides"), {}
    truth.forward(inputs, taps=wanted)
    single.forward(inputs, taps=right)
    single.forward(inputs, taps=Tap("insides", sink=turned))
    return dict(wanted.kept), dict(right.kept), faulty, inputs


def floor_of(tap: str) -> float:
    """Root mean square of the float32 run's error."""
    wanted, right, _, _ = runs()
    return float(np.sqrt(np.mean(np.square(right[tap].astype(np.float64) - wanted[tap]))))


def part_verdict(case: str, tap: str, found: np.ndarray, *, local: bool | None) -> PartVerdict:
    """Judge one tap by the root mean square of its error alone: enough for a page to show."""
    wanted, section = runs()[0][tap], tap_name(tap).section
    if wanted.dtype.kind == "i" or np.array_equal(found, wanted):
        return PartVerdict(case, tap, "exact", "noise", section=section)
    error = np.abs(found.astype(np.float64) - wanted)
    units = float(np.sqrt(np.mean(error**2))) / max(floor_of(tap), 1e-300)
    verdict = "noise" if units <= LIMITS[0] else "suspicious" if units <= LIMITS[1] else "wrong"
    rows_found, rows_wanted = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (found, wanted))
    norms = np.linalg.norm(rows_found, axis=1) * np.linalg.norm(rows_wanted, axis=1)
    token = int(np.argmax(error.reshape(len(error), -1).max(axis=1)))
    return PartVerdict(
        case,
        tap,
        verdict,
        "noise" if verdict == "noise" else "band" if local else "other",
        "only channels 5 to 9 of each head: the width band" if local else "",
        section,
        noise_units=units,
        local=local if verdict == "wrong" else None,
        local_units=units if local else 0.9,
        max_abs=float(error.max()),
        at=tuple(int(i) for i in np.unravel_index(np.argmax(error), error.shape)),
        rel_l2=float(np.linalg.norm(error) / np.linalg.norm(wanted)),
        worst_token=token,
        worst_token_cosine=float(rows_found[token] @ rows_wanted[token] / norms[token]),
    )


def case_parts(case: str, *, faulty: bool) -> list[PartVerdict]:
    """Judge every tap of a run, and two parts that the dump lacks."""
    _, right, wrong, _ = runs()
    taps = wrong if faulty else right
    parts = [part_verdict(case, tap, array, local=tap == FAULT) for tap, array in taps.items()]
    parts += [
        PartVerdict(case, name, "missing", "other", "not in the dump", section) for name, section in ANSWER.items()
    ]
    return sorted(parts, key=lambda part: data_order(part.tap))


def evidence_of(case: str, tap: str) -> Evidence:
    """The numbers of a tap of the faulty run, over the picture where its rows are patches."""
    wanted, _, faulty, inputs = runs()
    grid = tuple(int(side) for side in inputs.image_grids[0])
    in_blocks = tap.startswith(("vision.blocks", "vision.rope"))
    order = (wanted["vision.window_order"][:, None] * 4 + np.arange(4)).ravel()
    return Evidence(
        case,
        tap,
        tap_name(tap).shape,
        faulty[tap].astype(np.float64),
        wanted[tap].astype(np.float64),
        max(floor_of(tap), 1e-300),
        is_local=tap == FAULT,
        frame_grid=grid if in_blocks else None,
        patch_of_row=order if in_blocks else None,
        picture=inputs.pictures[0].resized if in_blocks else None,
    )


@cache
def failed_report() -> CheckReport:
    """A dump of two cases, the second wrong from `FAULT` on, with evidence, problems and a known failure."""
    parts = (*case_parts("main_job_right", faulty=False), *case_parts("main_job", faulty=True))
    shown = (FAULT, "vision.blocks.01.resid_post", "vision.out", "language.blocks.03.resid_post", "logits")
    return CheckReport(
        dump="out/port.safetensors",
        golden="out/golden",
        model="tiny",
        precision="float32",
        parts=parts,
        problems=("notes.npy holds objects, and is not read: write plain arrays.",),
        expected_failures=("main_job_right/answer.ids",),
        evidence=tuple(evidence_of("main_job", tap) for tap in shown),
    )


@cache
def passed_report() -> CheckReport:
    """A dump that is right."""
    parts = tuple(part for part in case_parts("main_job", faulty=False) if part.verdict != "missing")
    return CheckReport("out/port.safetensors", "out/golden/main_job", "tiny", "float32", parts)


def empty_report() -> CheckReport:
    """A dump that has no part in common with the golden."""
    return CheckReport("a", "b", "tiny", "float32", ())


def large_report(count: int = 3000) -> CheckReport:
    """Many parts: blocks of a decoder, as in a large model, of four cases."""
    parts = []
    for case in ("first", "second", "third", "fourth"):
        for i in range(count // 4):
            tap = f"language.blocks.{i // 10:02d}.part.{i % 10}"
            units = float(1.5 ** (i / 40))
            verdict = "noise" if units < 4 else "suspicious" if units < 16 else "wrong"
            parts.append(PartVerdict(case, tap, verdict, "other", section="10", noise_units=units))
    return CheckReport("a", "b", "large", "bfloat16", tuple(parts))


def hostile_report(text: str) -> CheckReport:
    """A report whose every text is the same hostile one."""
    part = PartVerdict(text, text, "wrong", "other", text, text, noise_units=float("nan"), at=(0,))
    numbers = np.array([[1.0, np.nan], [np.inf, 2.0]])
    shown = Evidence(text, text, text, numbers, np.ones((2, 2)), 0.5)
    return CheckReport(
        text, text, text, text, (part, replace(part, verdict="missing")), (text,), (text,), (shown,)
    )
