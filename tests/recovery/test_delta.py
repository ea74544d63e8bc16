"""The delta codec: exact inverse, refuses what it must, and is small."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.fixedpoint import FixedPoint
from lifesim.network.architecture import Architecture, Dense, Relu
from lifesim.network.model import Model
from lifesim.recovery.coding import pack_count, pack_differences, pack_positions, seal
from lifesim.recovery.delta import DeltaError, apply_delta, encode_delta

TINY = Architecture("tiny", (1, 2, 3), (Dense("a", 5), Relu(), Dense("b", 4)))


def model(codes, biases=None, architecture=TINY):
    layers = architecture.crossbar_layers
    ends = np.cumsum([layer.weights for layer in layers])[:-1]
    parts = np.split(np.asarray(codes, np.int16), ends)
    return Model(
        architecture,
        (FixedPoint(16, 14),) * len(layers),
        tuple(p.reshape(layer.fan_in, layer.fan_out) for p, layer in zip(parts, layers, strict=True)),
        tuple(np.zeros(layer.fan_out, np.float32) for layer in layers) if biases is None else biases,
    )


all_codes = st.lists(st.integers(-(2**15), 2**15 - 1), min_size=50, max_size=50)


@settings(deadline=None)
@given(all_codes, st.dictionaries(st.integers(0, 49), st.integers(-(2**15), 2**15 - 1)))
def test_is_an_exact_inverse(codes, changes):
    """Including differences beyond 16 bits (-32768 to 32767), no change and every weight changed."""
    new_codes = codes.copy()
    for index, code in changes.items():
        new_codes[index] = code
    base, new = model(codes), model(new_codes)
    applied = apply_delta(base, encode_delta(base, new))
    assert applied.digest == new.digest
    for a, b in zip(applied.codes, new.codes, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_extremes_of_a_code_are_an_exact_inverse():
    low, high = model(np.full(50, -(2**15))), model(np.full(50, 2**15 - 1))
    assert apply_delta(low, encode_delta(low, high)).digest == high.digest
    assert apply_delta(high, encode_delta(high, low)).digest == low.digest


def test_both_ends_of_a_link_hold_one_copy_while_either_does():
    low, high = model([1] * 50), model([2] * 50)
    data = encode_delta(low, high)
    of_cloud = apply_delta(low, data)
    assert apply_delta(low, data) is of_cloud
    gone = weakref.ref(of_cloud)
    del of_cloud
    gc.collect()
    assert gone() is None


def test_an_empty_delta_gives_the_same_version():
    base = model(range(50))
    data = encode_delta(base, base)
    assert apply_delta(base, data).digest == base.digest
    assert len(data) < 64


def test_encoding_is_repeatable():
    base, new = model(range(50)), model(range(1, 51))
    assert encode_delta(base, new) == encode_delta(base, new)


def test_another_base_is_refused_even_if_the_changed_weights_agree():
    base, new, other = model(range(50)), model([100, *range(1, 50)]), model([*range(49), 99])
    with pytest.raises(
        DeltaError, match=f"is for version {base.digest.hex()}.*is version {other.digest.hex()}"
    ):
        apply_delta(other, encode_delta(base, new))


def test_a_delta_is_not_applied_twice():
    base, new = model(range(50)), model(range(1, 51))
    with pytest.raises(DeltaError, match="version"):
        apply_delta(new, encode_delta(base, new))


def test_truncation_at_every_length_is_refused():
    base, new = model(range(50)), model(range(1, 51))
    data = encode_delta(base, new)
    for length in range(len(data)):
        with pytest.raises(DeltaError, match="truncated"):
            apply_delta(base, data[:length])
    with pytest.raises(DeltaError):
        apply_delta(base, data + b"\0")


def test_every_damaged_byte_is_refused():
    base, new = model(range(50)), model([*range(40), *range(50, 60)])
    data = encode_delta(base, new)
    for place in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[place] ^= flip
            with pytest.raises(DeltaError):
                apply_delta(base, bytes(damaged))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            pack_count(1) + pack_positions(np.array([50])) + pack_differences(np.array([1], np.int16)),
            "weight 50 of 50",
        ),
        (
            pack_count(1) + pack_positions(np.array([3])) + pack_differences(np.array([2], np.int16)),
            "promised version",
        ),
        (
            pack_count(2) + pack_positions(np.array([3])) + pack_differences(np.array([1], np.int16)),
            "expected",
        ),
        (pack_count(1) + pack_positions(np.array([3])), "1 differences expected, 0 found"),
        (pack_count(1) + pack_positions(np.array([3])) + b"\x80", "1 differences expected"),
        (pack_count(1) + pack_positions(np.array([3])) + b"\x80\x80\x80\x01", "1 differences expected"),
        (b"\0\0", "4 bytes expected, 2 left"),
    ],
)
def test_a_whole_message_with_wrong_content_is_refused(body, message):
    """What a faulty encoder could send: the checksum fits, the content does not."""
    base, new = model(np.zeros(50)), model([0, 0, 0, 1, *[0] * 46])
    with pytest.raises(DeltaError, match=message):
        apply_delta(base, seal(b"LSD1", base.digest + new.digest, body))


def test_models_that_differ_in_their_biases_have_no_delta():
    base = model(range(50))
    other = model(range(50), biases=tuple(b + 1 for b in base.biases))
    with pytest.raises(DeltaError, match="differ in more"):
        encode_delta(base, other)


def test_a_sparse_delta_is_two_orders_of_magnitude_smaller_than_the_model_and_near_its_entropy():
    """LeNet's size, one per cent of the weights moved by some thirty codes."""
    architecture = Architecture("wide", (1, 1, 861), (Dense("a", 500),))
    weights = architecture.crossbar_layers[0].weights
    generator = np.random.Generator(np.random.Philox(key=1))
    codes = generator.normal(0, 2000, weights).astype(np.int16)
    moved = generator.random(weights) < 0.01
    steps = np.rint(generator.laplace(0, 30, weights)).astype(np.int16)
    base, new = (
        model(codes, architecture=architecture),
        model(codes + moved * steps, architecture=architecture),
    )
    data = encode_delta(base, new)
    assert apply_delta(base, data).digest == new.digest
    changes = int(np.count_nonzero(moved & (steps != 0)))
    p = changes / weights
    entropy_positions = -weights * (p * np.log2(p) + (1 - p) * np.log2(1 - p)) / 8
    entropy_steps = changes * np.log2(2 * np.e * 30) / 8
    assert len(data) < 1.1 * (entropy_positions + entropy_steps)
    assert len(data) < 2 * weights / 95
