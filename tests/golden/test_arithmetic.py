"""Section 15: which sums a golden is made with, and that it says so."""

from importlib import import_module

import numpy as np
import pytest

import qwen25vl
from qwen25vl.errors import BadInput
from qwen25vl.golden import arithmetic
from qwen25vl.golden.arithmetic import chosen_arithmetic, in_arithmetic
from qwen25vl.golden.case import Lab


@pytest.mark.parametrize(
    ("precision", "blas", "want"),
    [
        ("float64", False, "strict"),
        ("float64", True, "blas"),
        ("float32", False, "blas"),
        ("bfloat16", False, "blas"),
        ("float16", True, "blas"),
    ],
)
def test_x19_float64_is_strict_unless_blas_is_asked_for(precision, blas, want):
    assert chosen_arithmetic(precision, blas=blas) == want


def test_x19_a_lab_takes_the_functions_of_its_arithmetic_and_keeps_its_weights():
    lab = Lab(qwen25vl.load(precision="float64"))
    assert in_arithmetic(lab, "blas") is lab
    strict = in_arithmetic(lab, "strict")
    assert strict.ops.precision.name == "float64"
    assert strict.ops.linear is import_module("qwen25vl.strict.ops").linear
    name = "model.norm.weight"
    np.testing.assert_array_equal(strict.model.network.weights[name], lab.model.network.weights[name])


def test_without_numba_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr(arithmetic, "STRICT_MODULE", "no_such_module_at_all")
    with pytest.raises(BadInput, match=r"strict sums need Numba, .*; install it, or add --blas"):
        in_arithmetic(Lab(qwen25vl.load(precision="float64")), "strict")


@pytest.mark.parametrize(("precision", "name"), [("float32", "strict"), ("float64", "exact")])
def test_an_arithmetic_that_there_is_not_is_refused(precision, name):
    with pytest.raises(ValueError, match="need strict in float64, or blas"):
        in_arithmetic(Lab(qwen25vl.load(precision=precision)), name)
