"""The whole forward pass: decoding, the head, what is refused; then every tap against upstream, in float64."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from islands import U, disturbed_ops
from networks import UNEVEN, WIDE, every_tap, greedy_steps, random_network, still_and_clip
from qwen25vl.checkpoint.weights import Weights
from qwen25vl.model import Network, Past, decode_step, prefill, vocabulary_scores
from qwen25vl.tap import Tap
from strategies import FIRST_TEXT_ID, batches, configs, joined_inputs, made_inputs, prompts, with_ids


@pytest.mark.parametrize("count", [1, 3])
def test_d11_a_token_behind_the_prompt_has_its_index_plus_delta_for_a_position(count):
    network, inputs, tap = random_network(UNEVEN), still_and_clip(), Tap("language.positions")
    _, cache = prefill(inputs, network)
    delta = int(inputs.delta[0])
    assert delta < 0
    hidden, longer = decode_step(np.arange(20, 20 + count), cache, network, delta=delta, tap=tap)
    first = inputs.ids.shape[1] + delta
    assert first == inputs.positions.max() + 1
    assert tap["language.positions"].tolist() == [list(range(first, first + count))] * 3
    assert len(hidden) == count
    again = Tap("language.positions")
    decode_step(np.array([20]), longer, network, delta=delta, tap=again)
    assert again["language.positions"].tolist() == [[first + count]] * 3


def test_d11_a_pad_id_that_the_model_itself_gives_is_a_token_like_any_other():
    network, inputs, tap = random_network(UNEVEN), still_and_clip(), Tap("language.embed.out")
    _, cache = prefill(inputs, network)
    ids = np.array([UNEVEN.image_token_id, UNEVEN.video_token_id])
    decode_step(ids, cache, network, delta=int(inputs.delta[0]), tap=tap)
    table = network.weights["model.embed_tokens.weight"]
    np.testing.assert_array_equal(tap["language.embed.out"], table[ids])


@pytest.mark.parametrize("tied", [False, True])
def test_d12_scores_are_products_with_the_head_or_with_the_embedding_where_tied(tied):
    network = random_network(replace(UNEVEN, tie_word_embeddings=tied))
    if not tied:  # both matrices are there, and differ
        assert np.any(network.weights["lm_head.weight"] != network.weights["model.embed_tokens.weight"])
    head = network.weights["model.embed_tokens.weight" if tied else "lm_head.weight"]
    hidden = np.random.default_rng(0).standard_normal((3, UNEVEN.text.hidden_size))
    np.testing.assert_array_equal(vocabulary_scores(hidden, network), WIDE.linear(hidden, head))
    assert not np.any(vocabulary_scores(np.zeros_like(hidden), network))  # no bias


def test_pictures_and_videos_take_their_own_places_whatever_their_order_in_the_prompt():
    # Video first, then the picture; rows are encoded pictures first.
    ids = [20, 5, *[9] * 12, 6, 21, 5, *[8] * 15, 6, 22]
    inputs = made_inputs(UNEVEN, ids, [(1, 10, 6)], [(2, 4, 6)], [1.0], np.random.default_rng(0))
    tap = every_tap(inputs, random_network(UNEVEN))
    places = np.array(ids)
    np.testing.assert_array_equal(tap["language.embed.out"][places == 8], tap["vision.out"][:15])
    np.testing.assert_array_equal(tap["language.embed.out"][places == 9], tap["vision.out"][15:])


def test_no_function_writes_into_what_it_is_given():
    inputs, network = still_and_clip(), random_network(UNEVEN)
    for array in vars(inputs).values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    frozen = replace(network, ops=refusing_writes(network.ops))
    hidden, cache = prefill(inputs, frozen)  # NumPy raises if anybody writes
    for array in (hidden, *cache.keys, *cache.values):
        array.flags.writeable = False
    vocabulary_scores(hidden, frozen)
    decode_step(np.array([20, 21]), cache, frozen, delta=int(inputs.delta[0]))


def test_refusing_writes_refuses_them():
    # blindness check of the test above
    def careless(x):
        x *= 2
        return x

    with pytest.raises(ValueError, match="read-only"):
        refusing_writes(replace(WIDE, silu=careless)).silu(np.ones(3))


def refusing_writes(ops):
    """The same operations; what goes into one may not be written to, by it or by anybody later."""

    def guarded(function):
        def call(*args, **kwargs):
            for array in [*args, kwargs.get("allowed")]:  # `probs` is there to be filled
                if isinstance(array, np.ndarray):
                    array.flags.writeable = False
            return function(*args, **kwargs)

        return call

    names = [field.name for field in fields(ops) if field.name != "precision"]
    return replace(ops, **{name: guarded(getattr(ops, name)) for name in names})


@pytest.mark.parametrize("side", ["left", "right"])
def test_d13_prefill_wants_one_prompt_without_padding(side):
    batch = joined_inputs(UNEVEN, [still_and_clip(), still_and_clip()], side=side)
    padded = joined_inputs(UNEVEN, [still_and_clip()], side=side, extra=1)
    for wrong in (batch, padded):
        with pytest.raises(ValueError, match=r"need one prompt without padding, got mask"):
            prefill(wrong, random_network(UNEVEN))


@pytest.mark.parametrize("chunk", [1, 7, 9, 16, 1000])
def test_d14_any_size_of_pieces_gives_what_one_pass_gives(chunk):
    # The picture stands at 2 to 16 and the clip at 20 to 31: pieces of 1, 7 and 9 cut both, 16 cuts at an edge.
    inputs, network = still_and_clip(), random_network(UNEVEN)
    want, whole = prefill(inputs, network)
    got, cache = prefill(inputs, network, chunk=chunk)
    assert_close(got, want)
    for ours, theirs in zip((*cache.keys, *cache.values), (*whole.keys, *whole.values), strict=True):
        assert_close(ours, theirs)


def test_d14_each_piece_reports_under_its_own_name_and_has_its_own_positions():
    inputs, tap = still_and_clip(), Tap("*language.positions")
    prefill(inputs, random_network(UNEVEN), chunk=7, tap=tap)
    length = inputs.ids.shape[1]
    assert list(tap) == [f"chunks.{i:02d}.language.positions" for i in range(-(-length // 7))]
    joined = np.concatenate([tap[name] for name in tap], axis=1)
    np.testing.assert_array_equal(joined, inputs.positions[:, 0])


def test_d14_media_are_encoded_once_whatever_the_size_of_the_pieces():
    tap = Tap("vision.*", sink=lambda name, array: names.append(name))
    names = []
    prefill(still_and_clip(), random_network(UNEVEN), chunk=1, tap=tap)
    assert len(names) == len(set(names)) > 0


@pytest.mark.parametrize("cut", [1, 2, 9, 17, 25, 32, 33])
def test_d15_a_prompt_that_goes_on_from_an_earlier_one_gives_what_it_gives_alone(cut):
    # Up to `cut` both are equal; the cut goes through text, the picture, the clip.
    network, inputs = random_network(UNEVEN), still_and_clip()
    earlier = other_from(inputs, cut)
    past = Past(earlier, prefill(earlier, network)[1])
    tap = Tap("language.embed.out")
    got, cache = prefill(inputs, network, past=past, tap=tap)
    want, whole = prefill(inputs, network)
    assert_close(got, want[-len(got) :])
    assert len(got) == len(tap["language.embed.out"]) < len(want)  # something was not run again
    for ours, theirs in zip((*cache.keys, *cache.values), (*whole.keys, *whole.values), strict=True):
        assert_close(ours, theirs)


def other_from(inputs, cut):
    """The same prompt with other text, or other pixels, from index `cut` on."""
    text = inputs.ids[0] >= FIRST_TEXT_ID
    later = np.arange(inputs.ids.shape[1]) >= cut
    ids = np.where(text & later, inputs.ids[0] % 30 + 7, inputs.ids[0])[np.newaxis]
    rows = {
        name: getattr(inputs, name) + (1.0 if cut <= last else 0.0)
        for name, last in (("image_rows", 16), ("video_rows", 31))
    }
    return replace(inputs, ids=ids, **{name: array.astype(np.float32) for name, array in rows.items()})


def assert_close(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * np.max(np.abs(want)))


# ---------------------------------------------------------------------------------------------- oracle


@pytest.mark.oracle
@given(data=st.data(), config=configs(), seed=st.integers(0, 2**32 - 1))
def test_every_tap_equals_upstream_widened_to_float64(data, config, seed):
    import oracle

    inputs = data.draw(prompts(config))
    upstream = oracle.random_model(config, seed=seed)
    want = oracle.upstream_taps(upstream, inputs, widened=True)
    got = every_tap(inputs, Network(config, Weights(oracle.checkpoint_of(upstream), np.dtype(np.float64)), WIDE))
    assert set(got) == set(want)
    for name in got:
        assert got[name].shape == want[name].shape, name
        if got[name].dtype.kind == "i":
            np.testing.assert_array_equal(got[name], want[name], err_msg=name)
        else:
            worst, largest = np.max(np.abs(got[name] - want[name])), np.max(np.abs(want[name]))
            note(f"{name}: {worst:.1e} of {largest:.1e}")
            assert worst <= 1e-12 * largest, name


@pytest.mark.oracle
@given(data=st.data(), config=configs(), seed=st.integers(0, 2**32 - 1))
def test_every_tap_equals_upstream_to_the_accuracy_of_its_float32_islands(data, config, seed):
    import oracle

    inputs = data.draw(prompts(config))
    upstream = oracle.random_model(config, seed=seed)
    weights = Weights(oracle.checkpoint_of(upstream), np.dtype(np.float64))
    want = oracle.upstream_taps(upstream, inputs, widened=False)
    got = every_tap(inputs, Network(config, weights, WIDE))
    angle = float(
        max(inputs.positions.max(), inputs.image_grids.max(initial=0), inputs.video_grids.max(initial=0))
    )
    disturbed = [
        every_tap(inputs, Network(config, weights, disturbed_ops(draw, largest_angle=angle))) for draw in range(3)
    ]
    for name in got:
        allowed = max(np.max(np.abs(noisy[name] - got[name])) for noisy in disturbed)
        allowed += 2 * U * (angle + 2) if ".rope." in name else 1e-12 * np.max(np.abs(got[name]))
        worst = np.max(np.abs(got[name] - want[name]))
        note(f"{name}: {worst:.1e} of {allowed:.1e}")
        assert worst <= 2 * allowed, name  # 2: three draws of signs need not meet the worst of all


@pytest.mark.oracle
@given(data=st.data(), config=configs(), seed=st.integers(0, 2**32 - 1))
def test_d8_decoding_with_the_cache_equals_a_full_pass_at_every_step(data, config, seed):
    import oracle

    inputs = data.draw(prompts(config))
    weights = Weights(oracle.checkpoint_of(oracle.random_model(config, seed=seed)), np.dtype(np.float64))
    network = Network(config, weights, WIDE)
    new_ids = data.draw(st.lists(st.integers(FIRST_TEXT_ID, config.text.vocab_size - 1), min_size=1, max_size=5))
    _, cache = prefill(inputs, network)
    for count in range(1, len(new_ids) + 1):
        hidden, cache = decode_step(
            np.array(new_ids[count - 1 : count]), cache, network, delta=int(inputs.delta[0])
        )
        full, _ = prefill(with_ids(inputs, new_ids[:count]), network)
        np.testing.assert_allclose(hidden[0], full[-1], rtol=0, atol=1e-12 * np.max(np.abs(full)))


@pytest.mark.oracle
@given(data=st.data(), config=configs(), seed=st.integers(0, 2**32 - 1))
def test_g1_greedy_ids_equal_upstreams_own_generation(data, config, seed):
    import oracle

    inputs = data.draw(prompts(config, videos=False))  # upstream's positions deviate for video
    upstream = oracle.random_model(config, seed=seed)
    network = Network(config, Weights(oracle.checkpoint_of(upstream), np.dtype(np.float64)), WIDE)
    stops = (config.eos_token_id, FIRST_TEXT_ID)
    steps = list(greedy_steps(inputs, network, stop_ids=stops, max_new_tokens=6))
    want = oracle.upstream_greedy(upstream, inputs, max_new_tokens=6, stop_ids=stops)
    assert [step.id for step in steps] == want


@pytest.mark.oracle
@given(data=st.data(), config=configs(), seed=st.integers(0, 2**32 - 1))
def test_d13_every_row_of_a_batch_equals_its_row_of_upstreams_padded_batch(data, config, seed):
    import oracle

    inputs = data.draw(batches(config))
    upstream = oracle.random_model(config, seed=seed)
    want = oracle.upstream_batch_logits(upstream, harmless_padding(inputs))
    network = Network(config, Weights(oracle.checkpoint_of(upstream), np.dtype(np.float64)), WIDE)
    for b in range(len(inputs.ids)):
        got = vocabulary_scores(prefill(inputs.row(b), network)[0], network)
        real = want[b, inputs.mask[b]]
        assert np.max(np.abs(got - real)) <= 1e-12 * np.max(np.abs(real))


def harmless_padding(inputs):
    """Upstream counts a pad of a picture in the padding as one to be filled; we do not read padding."""
    return replace(inputs, ids=np.where(inputs.mask, inputs.ids, FIRST_TEXT_ID))
