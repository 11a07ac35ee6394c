"""The oracle itself: its arithmetic is whole, and it may run on a GPU."""

import numpy as np
import pytest

from networks import UNEVEN, still_and_clip
from strategies import made_inputs

pytestmark = pytest.mark.oracle


@pytest.fixture
def still():
    """A prompt with a picture, for upstream's own positions."""
    ids = [20, 5, *[8] * 15, 6, 21]
    return made_inputs(UNEVEN, ids, [(1, 10, 6)], [], [], np.random.default_rng(0))


def test_no_float32_product_is_cut_to_fewer_bits():
    import oracle

    backends = oracle.torch.backends
    assert not backends.cuda.matmul.allow_tf32
    assert not backends.cudnn.allow_tf32
    assert not backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    assert not backends.cuda.matmul.allow_fp16_reduced_precision_reduction
    assert oracle.torch.get_float32_matmul_precision() == "highest"
    for part in (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv):
        assert getattr(part, "fp32_precision", "ieee") == "ieee"


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_on_a_gpu_every_tap_comes_back_and_no_two_devices_meet(dtype):
    import oracle

    inputs, wide = still_and_clip(), dtype == "float64"
    here = oracle.upstream_taps(oracle.random_model(UNEVEN, seed=0, dtype=dtype), inputs, widened=wide)
    with oracle.pretended_gpu():
        model = oracle.random_model(UNEVEN, seed=0, dtype=dtype)
        assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}
        there = oracle.upstream_taps(model, inputs, widened=wide)
        copied = oracle.checkpoint_of(oracle.recast(model, dtype="float64"))
    assert set(here) == set(there)
    for name in here:
        np.testing.assert_array_equal(here[name], there[name], err_msg=name)
    assert all(type(tensor.raw) is np.ndarray for tensor in copied.tensors.values())


def test_on_a_gpu_upstream_generates_and_takes_forced_draws(still):
    import oracle

    settings = dict(max_new_tokens=4, stop_ids=(3,))
    here = oracle.random_model(UNEVEN, seed=0)
    with oracle.pretended_gpu():
        there = oracle.random_model(UNEVEN, seed=0)
        ids = oracle.upstream_greedy(there, still, **settings)
        drawn, scores = oracle.upstream_answer(there, still, do_sample=True, forced=[20, 21, 22, 23], **settings)
        logits = oracle.upstream_batch_logits(there, still)
    assert ids == oracle.upstream_greedy(here, still, **settings)
    assert drawn == [20, 21, 22, 23]
    assert scores.shape == (4, UNEVEN.text.vocab_size)
    np.testing.assert_array_equal(logits, oracle.upstream_batch_logits(here, still))


def test_on_a_gpu_sixteen_bits_come_back_too(still):
    import oracle

    with oracle.pretended_gpu():
        there = oracle.sixteen_bit_taps(oracle.sixteen_bit_model(UNEVEN, seed=0, dtype="float16"), still)
    here = oracle.sixteen_bit_taps(oracle.sixteen_bit_model(UNEVEN, seed=0, dtype="float16"), still)
    for name in here:
        np.testing.assert_array_equal(here[name], there[name], err_msg=name)


def test_the_pretended_gpu_refuses_what_a_gpu_refuses():
    # blindness check of the tests above
    import oracle

    with oracle.pretended_gpu():
        there, here = oracle.torch.arange(3, device="meta"), oracle.torch.arange(3)
        assert (there + there).cpu().tolist() == [0, 2, 4]
        with pytest.raises(RuntimeError, match="tensors of two devices"):
            there + here
        with pytest.raises((RuntimeError, TypeError)):
            there.numpy()


@pytest.mark.parametrize(("installed", "since"), [("5.9.0", False), ("5.20.0", True), ("5.21.0.dev0", True)])
def test_versions_are_compared_as_numbers(installed, since, monkeypatch):
    import oracle

    monkeypatch.setattr(oracle.transformers, "__version__", installed)
    assert oracle.since("5.20") is since
