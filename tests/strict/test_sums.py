"""Section 15: sums of the golden path are made term by term, whatever the processor and the number of threads."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen25vl.strict import sums

SIDES = st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 127, 128, 129, 259])
"""Sides at and around the borders of a group of four terms, of eight outputs and of a panel."""

TERMS = st.sampled_from([0, 1, 3, 4, 5, 7, 127, 128, 129, 261])
"""Likewise of the terms."""


def one_after_the_other(x, weight):
    """The definition, in plain Python: one rounding for each product and for each sum."""
    result = np.zeros((len(x), len(weight)))
    for d in range(x.shape[1]):
        result = result + x[:, d : d + 1] * weight[:, d][np.newaxis]
    return result


@given(st.integers(0, 4), TERMS, SIDES, st.integers(0, 2**32 - 1))
def test_x16_a_product_adds_its_terms_in_order(rows, terms, outputs, seed):
    rng = np.random.default_rng(seed)
    x, weight = rng.standard_normal((rows, terms)), rng.standard_normal((outputs, terms))
    np.testing.assert_array_equal(sums.product(x, weight), one_after_the_other(x, weight))


@pytest.mark.parametrize("rows", [1, 2, 37])
def test_x16_x18_large_products_are_shared_by_threads_and_stay_the_same(rows):
    rng = np.random.default_rng(rows)
    terms, outputs = 600, 8 * (sums.WORTH_SHARING // (8 * 600)) + 11
    x, weight = rng.standard_normal((rows, terms)), rng.standard_normal((outputs, terms))
    wanted = one_after_the_other(x, weight)
    before = numba.get_num_threads()
    try:
        for threads in {1, before}:
            numba.set_num_threads(threads)
            np.testing.assert_array_equal(sums.product(x, weight), wanted)
    finally:
        numba.set_num_threads(before)


@given(st.integers(0, 4), st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_x16_a_row_is_added_from_its_first_number_to_its_last(rows, terms, seed):
    x = np.random.default_rng(seed).standard_normal((rows, terms))
    total = np.zeros(rows)
    for t in range(terms):
        total = total + x[:, t]
    np.testing.assert_array_equal(sums.row_sums(x), total)


def test_x16_no_product_and_sum_share_one_rounding():
    # (1 + 2**-30)**2 needs 61 bits; added to -1 - 2**-29 a fused step leaves 2**-60, two roundings leave 0.
    x, weight = np.array([[1.0, 1 + 2.0**-30]]), np.array([[-1 - 2.0**-29, 1 + 2.0**-30]])
    assert sums.product(x, weight)[0, 0] == 0
    assert sums.product(np.repeat(x, 3, axis=0), np.repeat(weight, 70, axis=0)).any() is np.False_


def test_x16_the_compiled_code_has_no_fused_instruction(tmp_path):
    code = (
        "import numpy as np; from qwen25vl.strict import sums; "
        "[sums.product(np.ones((rows, 5)), np.ones((9, 5))) for rows in (1, 2)]; sums.row_sums(np.ones((2, 2))); "
        "[print(code) for function in (sums._add_products, sums._add_row, sums._add_rows) "
        "for code in function.inspect_asm().values()]"
    )
    assembly = in_python(code, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_CPU_NAME="haswell")  # it has fused ones
    assert "mulsd" in assembly
    assert "addsd" in assembly
    assert "vmulpd" in assembly  # and several outputs at once
    assert "fmadd" not in assembly


def test_infinity_and_nan_go_their_way():
    x = np.array([[np.inf, 1.0], [np.nan, 1.0], [1.0, 1.0]])
    with np.errstate(invalid="ignore"):
        got = sums.product(x, np.array([[1.0, 1.0], [-1.0, 1.0], [0.0, 1.0]]))
    np.testing.assert_array_equal(got, [[np.inf, -np.inf, np.nan], [np.nan] * 3, [2.0, 0.0, 1.0]])


def test_views_and_read_only_arrays_are_taken():
    x = np.arange(24.0).reshape(4, 6)
    x.flags.writeable = False
    np.testing.assert_array_equal(sums.product(x.T, x.T), x.T @ x)


def test_without_a_compiler_the_same_python_gives_the_same_bits():
    code = (
        "import numpy as np; from qwen25vl.strict.sums import product; rng = np.random.default_rng(0); "
        "print(product(rng.standard_normal((2, 9)), rng.standard_normal((11, 9))).tobytes().hex())"
    )
    rng = np.random.default_rng(0)
    wanted = sums.product(rng.standard_normal((2, 9)), rng.standard_normal((11, 9))).tobytes().hex()
    assert in_python(code, NUMBA_DISABLE_JIT="1").strip() == wanted


def in_python(code, **environment):
    """What a program prints in another process."""
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout
