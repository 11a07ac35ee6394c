"""How scores are changed before a token is chosen: each rule, their order, and all against upstream's own."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from qwen25vl.errors import BadInput
from qwen25vl.generate import rules
from qwen25vl.generate.settings import GREEDY, GenerationSettings

GONE = -np.inf


def floats(*values):
    """Scores."""
    return np.array(values, dtype=np.float32)


def ids(*values):
    """Ids of a sequence."""
    return np.array(values, dtype=np.int64)


@st.composite
def scored(draw, *, ties=True, most=40):
    """Scores of a small vocabulary: any, or of few different values; here and there -inf."""
    count = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if ties and draw(st.booleans()):
        scores = rng.integers(-2, 3, count).astype(np.float32) * np.float32(draw(st.sampled_from([0.5, 1, 7])))
    else:
        scores = (rng.standard_normal(count) * draw(st.sampled_from([0.1, 3, 30]))).astype(np.float32)
    if draw(st.booleans()):
        scores[rng.random(count) < 0.3] = GONE
        scores[rng.integers(count)] = 1.0
    return scores


# ---------------------------------------------------------------------------------------- rounding


def test_g5_scores_are_logits_rounded_to_float32_in_every_precision():
    logits = np.array([1 + 2.0**-25, 1.0, -1e-3, 0.1], dtype=np.float64)
    scores = rules.next_scores(logits, ids(), settings=GREEDY)
    assert scores.dtype == np.float32
    assert scores[0] == scores[1]  # so upstream sees a tie, and takes the lower id
    np.testing.assert_array_equal(scores, floats(1, 1, -1e-3, 0.1))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_g5_scores_that_are_no_numbers_are_refused(bad):
    with pytest.raises(BadInput, match=r"the largest logit is (nan|inf); weights or activations overflow"):
        rules.next_scores(np.array([0.0, bad, 1.0]), ids(), settings=GREEDY)


def test_g5_an_id_may_be_impossible_but_not_all():
    assert np.argmax(rules.next_scores(np.array([GONE, 2.0, 1.0]), ids(), settings=GREEDY)) == 1
    with pytest.raises(BadInput, match="the largest logit is -inf"):
        rules.next_scores(np.array([GONE, GONE]), ids(), settings=GREEDY)


# ----------------------------------------------------------------------------------------- penalty


def test_g6_a_positive_score_is_divided_and_a_negative_one_multiplied_once():
    scores = rules.penalised_scores(floats(4, -4, 0, 4, -4), ids(0, 1, 2, 0, 0, 1), penalty=2.0)
    np.testing.assert_array_equal(scores, floats(2, -8, 0, 4, -4))


def test_g6_a_penalty_below_one_is_a_reward():
    np.testing.assert_array_equal(
        rules.penalised_scores(floats(4, -4, 4), ids(0, 1), penalty=0.5), floats(8, -2, 4)
    )


def test_g6_the_quotient_is_that_of_float32():
    # 1.05 has no float32; the quotient of the float64 number, rounded, is another one here.
    scores = np.linspace(1, 2, 1000, dtype=np.float32)
    got = rules.penalised_scores(scores, np.arange(1000), penalty=1.05)
    np.testing.assert_array_equal(got, scores / np.float32(1.05))
    assert np.any(got != (scores.astype(np.float64) / 1.05).astype(np.float32))


# ------------------------------------------------------------------------------------- temperature


def test_g7_scores_are_divided_by_the_temperature_in_float32():
    scores = np.linspace(1, 2, 1000, dtype=np.float32)
    got = rules.tempered_scores(scores, temperature=0.7)
    np.testing.assert_array_equal(got, scores / np.float32(0.7))
    assert np.any(got != (scores.astype(np.float64) / 0.7).astype(np.float32))


@pytest.mark.parametrize("temperature", [1e-6, 1e-15, 1e15])
@pytest.mark.parametrize("penalty", [1.05, 1e-15, 1e15])
def test_g7_nothing_overflows_at_the_edge_of_the_range(temperature, penalty):
    settings = GenerationSettings(do_sample=True, temperature=temperature, repetition_penalty=penalty)
    scores = rules.next_scores(np.array([30.0, -30.0, 1e5, -1e5]), np.arange(4), settings=settings)
    assert not np.any(np.isnan(scores))
    assert np.isfinite(np.max(scores))
    assert rules.probabilities(scores).sum() == pytest.approx(1)


def test_g7_the_released_temperature_makes_all_but_the_best_impossible_unless_they_are_equal():
    sharp = rules.tempered_scores(floats(20, 20.001, 19), temperature=1e-6)
    np.testing.assert_array_equal(rules.probabilities(sharp), [0, 1, 0])
    tied = rules.tempered_scores(floats(20, 20, 19), temperature=1e-6)
    np.testing.assert_array_equal(rules.probabilities(tied), [0.5, 0.5, 0])


# ------------------------------------------------------------------------------------ top k, p, min p


@pytest.mark.parametrize(
    ("top_k", "want"),
    [
        (1, [GONE, 5, GONE, 5]),
        (2, [GONE, 5, GONE, 5]),
        (3, [GONE, 5, 3, 5]),
        (4, [1, 5, 3, 5]),
        (9, [1, 5, 3, 5]),
        (0, [1, 5, 3, 5]),
    ],
)
def test_g8_the_k_best_stay_and_what_equals_the_last_of_them(top_k, want):
    np.testing.assert_array_equal(rules.top_k_scores(floats(1, 5, 3, 5), top_k=top_k), floats(*want))


def eighths(*parts):
    """Scores whose probabilities are these parts of the whole."""
    return np.log(np.array(parts, dtype=np.float64)).astype(np.float32)


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(1.0, [0, 1, 2, 3]), (0.9, [0, 1, 2, 3]), (0.8, [1, 2, 3]), (0.6, [1, 3]), (0.49, [3]), (0.0, [3])],
)
def test_g9_the_likeliest_that_reach_p_stay(top_p, kept):
    scores = rules.top_p_scores(eighths(0.125, 0.25, 0.125, 0.5), top_p=top_p)
    # 0.8: of the two with an eighth the lower id goes first, and the other reaches 0.875.
    assert np.flatnonzero(scores > GONE).tolist() == kept


def test_g9_what_lies_on_the_edge_goes():
    # Four equal: after the second the sum is 0.5 exactly, which is not more than 1 - 0.5.
    scores = rules.top_p_scores(floats(2, 2, 2, 2), top_p=0.5)
    np.testing.assert_array_equal(scores, floats(GONE, GONE, 2, 2))


@given(scored(), st.floats(0, 1))
def test_g9_the_best_always_stays(scores, top_p):
    kept = rules.top_p_scores(scores, top_p=top_p)
    assert np.max(kept) == np.max(scores)


def test_g10_what_is_less_likely_than_p_times_the_likeliest_goes():
    scores = eighths(0.125, 0.25, 0.125, 0.5)
    for min_p, kept in ((0.0, [0, 1, 2, 3]), (0.24, [0, 1, 2, 3]), (0.26, [1, 3]), (0.51, [3]), (1.0, [3])):
        got = rules.min_p_scores(scores, min_p=min_p)
        assert np.flatnonzero(got > GONE).tolist() == kept, min_p


def test_g10_what_is_just_as_likely_stays():
    np.testing.assert_array_equal(rules.min_p_scores(floats(3, 1, 3), min_p=1.0), floats(3, GONE, 3))


# ------------------------------------------------------------------------------------------- order


def test_g11_the_rules_follow_one_another_in_upstreams_order():
    # By hand, on the page: penalty 2 on ids 0 and 3; temperature 0.5; two best; then no one is below half.
    settings = GenerationSettings(
        do_sample=True, temperature=0.5, top_k=2, top_p=0.9, min_p=0.5, repetition_penalty=2.0
    )
    scores = rules.next_scores(np.array([2.0, 1.0, 0.0, -1.0]), ids(0, 3), settings=settings)
    np.testing.assert_array_equal(scores, floats(2, 2, GONE, GONE))


@pytest.mark.parametrize(
    ("first", "settings", "logits"),
    [
        # Were the temperature to come behind top_p or min_p, or top_k behind top_p, more would stay.
        ("temperature", {"temperature": 0.25, "top_p": 0.9, "top_k": 0}, [1.0, 0.0, 0.0, 0.0]),
        ("temperature", {"temperature": 0.25, "min_p": 0.1, "top_k": 0}, [1.0, 0.0, 0.0, 0.0]),
        ("top_k", {"top_p": 0.7, "top_k": 2}, [2.0, 1.0, 1.0, 0.9]),
        # Were the penalty to come behind top_k, the other id would stay.
        ("penalty", {"repetition_penalty": 3.0, "top_k": 1}, [3.0, 2.0]),
    ],
)
def test_g11_another_order_would_show(first, settings, logits):
    # blindness check of the oracle test below
    chosen = GenerationSettings(do_sample=True, **settings)
    logits, seen = np.array(logits), ids(0)
    right = rules.next_scores(logits, seen, settings=chosen)
    if first == "temperature":
        other = rules.next_scores(logits, seen, settings=replace(chosen, temperature=1.0))
        other = rules.tempered_scores(other, temperature=chosen.temperature)
    elif first == "top_k":
        other = rules.top_p_scores(logits.astype(np.float32), top_p=chosen.top_p)
        other = rules.top_k_scores(other, top_k=chosen.top_k)
    else:
        other = rules.top_k_scores(logits.astype(np.float32), top_k=chosen.top_k)
        other = rules.penalised_scores(other, seen, penalty=chosen.repetition_penalty)
    assert (right > GONE).tolist() != (other > GONE).tolist()


def test_g11_without_draws_the_penalty_alone_counts():
    for settings in (
        GenerationSettings(temperature=0.1, top_k=1, min_p=1.0, repetition_penalty=2.0),
        GenerationSettings(do_sample=True, temperature=0.0, top_k=1, repetition_penalty=2.0),
    ):
        scores = rules.next_scores(np.array([3.0, 2.0, 1.0]), ids(0), settings=settings)
        np.testing.assert_array_equal(scores, floats(1.5, 2, 1))


@given(scored(), st.integers(0, 5))
def test_no_rule_writes_into_what_it_is_given(scores, top_k):
    before = scores.copy()
    scores.flags.writeable = False
    seen = np.arange(len(scores) // 2)
    settings = GenerationSettings(
        do_sample=True, temperature=0.5, top_k=top_k, top_p=0.6, min_p=0.1, repetition_penalty=1.3
    )
    rules.next_scores(scores, seen, settings=settings)
    np.testing.assert_array_equal(scores, before)


# ---------------------------------------------------------------------------------------------- oracle


@pytest.mark.oracle
@given(scored(), st.lists(st.integers(0, 10**6), max_size=9), st.floats(0.1, 3))
@example(floats(0.0, -0.0, GONE, 5), [0, 1, 2, 3], 1.05)
def test_g6_the_penalty_equals_upstreams_to_the_bit(scores, seen, penalty):
    import oracle

    seen = [i % len(scores) for i in seen] or [0]
    got = rules.penalised_scores(scores, np.array(seen), penalty=penalty)
    np.testing.assert_array_equal(got, oracle.hf_rule("repetition_penalty", penalty, scores, seen))


@pytest.mark.oracle
@given(scored(), st.floats(1e-15, 1e15))
@example(floats(20, -20, 1e-7), 1e-6)
def test_g7_the_temperature_equals_upstreams_to_the_bit(scores, temperature):
    import oracle

    got = rules.tempered_scores(scores, temperature=temperature)
    np.testing.assert_array_equal(got, oracle.hf_rule("temperature", temperature, scores))


@pytest.mark.oracle
@given(scored(), st.integers(1, 50))
def test_g8_top_k_equals_upstreams_ties_included(scores, top_k):
    import oracle

    got = rules.top_k_scores(scores, top_k=top_k)
    np.testing.assert_array_equal(got, oracle.hf_rule("top_k", top_k, scores))


@pytest.mark.oracle
@given(scored(ties=False), st.floats(0, 1))
def test_g9_top_p_equals_upstreams_away_from_the_edge(scores, top_p):
    import oracle

    mass = np.cumsum(np.sort(rules.probabilities(scores)))
    got = rules.top_p_scores(scores, top_p=top_p)
    # Upstream adds up float32 numbers: up to 40 of them, each and each sum half a unit off.
    assume(top_p == 1 or np.min(np.abs(mass - (1 - top_p))) > 40 * 2.0**-24)
    want = oracle.hf_rule("top_p", top_p, scores)
    np.testing.assert_array_equal(got, scores if top_p == 1 else want)  # at 1 upstream makes no such rule


@pytest.mark.oracle
@given(st.integers(1, 16), st.floats(0, 1))
@example(4, 0.5)
@example(10, 0.3)
def test_g9_top_p_equals_upstreams_over_equal_scores(count, top_p):
    import oracle

    # In float64, edges included. Up to 16 scores torch sorts in order; of more, equal ones in any.
    scores = np.full(count, 1.5)
    want = oracle.hf_rule("top_p", top_p, scores)
    got = rules.top_p_scores(scores.astype(np.float32), top_p=top_p)
    np.testing.assert_array_equal(got, scores if top_p == 1 else want)


@pytest.mark.oracle
@given(scored(), st.floats(0, 1))
@example(floats(3, 1, 3), 1.0)
def test_g10_min_p_equals_upstreams_away_from_the_edge(scores, min_p):
    import oracle

    chances = rules.probabilities(scores)
    edge = np.abs(chances / np.max(chances) - min_p)
    # Three roundings of float32 each side; what is exactly as likely as the likeliest is no edge.
    assume(np.min(edge[(scores < np.max(scores)) & (scores > GONE)], initial=1) > 1e-6)
    got = rules.min_p_scores(scores, min_p=min_p)
    np.testing.assert_array_equal(got, oracle.hf_rule("min_p", min_p, scores))


@pytest.mark.oracle
@given(
    scored(ties=False),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=9),
    st.fixed_dictionaries(
        {"do_sample": st.booleans()},
        optional={
            "temperature": st.sampled_from([0.3, 0.9, 1.0, 2.5]),
            "top_k": st.sampled_from([0, 1, 3, 50]),
            "top_p": st.sampled_from([0.2, 0.55, 0.9, 1.0]),
            "min_p": st.sampled_from([0.0, 0.03, 0.4]),
            "repetition_penalty": st.sampled_from([0.8, 1.0, 1.05, 1.7]),
        },
    ),
)
def test_g11_all_rules_together_equal_upstreams(scores, seen, settings):
    import oracle

    seen = [i % len(scores) for i in seen]
    chosen = GenerationSettings(**settings)
    got = rules.next_scores(scores, np.array(seen), settings=chosen)
    for near in (1 - 1e-5, 1 + 1e-5):  # an edge of the two rules that add up probabilities
        moved = replace(chosen, top_p=min(1.0, chosen.top_p * near), min_p=min(1.0, chosen.min_p * near))
        if chosen.top_p < 1 and moved.top_p < 1:
            assume(np.array_equal(got, rules.next_scores(scores, np.array(seen), settings=moved)))
    np.testing.assert_array_equal(got, oracle.hf_rules(settings, scores, seen))
