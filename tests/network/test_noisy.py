"""Noisy reads on the fast path are those of the plain path."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.encoding import Encoding
from lifesim.network.architecture import Architecture, AvgPool, Conv, Dense, MaxPool, Relu, load_architecture
from lifesim.network.changes import Changes
from lifesim.network.evaluate import Evaluator, Noise
from lifesim.network.model import Model
from lifesim.network.noisy import NoisyReader, noisy_reader_of
from lifesim.network.walk import slack
from lifesim.normals import unit_normals

ENCODINGS = [Encoding(), Encoding(1, True), Encoding(2, True), Encoding(2)]
SLC = ENCODINGS[0]
SIGMAS = {"weight": 0.01, "cell_analog": 2e-3, "cell_adc": 2e-5}
SMALL = Architecture("small", (1, 6, 6), (Conv("a", 3, 3), Relu(), MaxPool(2), Dense("b", 4)))
ARCHITECTURES = [
    load_architecture("mlp"),
    load_architecture("lenet"),
    load_architecture("convnet_quick"),
    SMALL,
    # Two layers without a function between, windows that the border cuts, odd numbers of outputs and positions, zeros around.
    Architecture(
        "odd",
        (2, 9, 8),
        (Conv("a", 3, 3, 1), Conv("b", 5, 2), AvgPool(3, 2), Relu(), Conv("c", 7, 3, 2), MaxPool(2, 1),
         Dense("d", 7), Dense("e", 5), Relu(), Dense("f", 13)),
    ),
    Architecture("relu at the end", (1, 5, 5), (Dense("a", 6), Relu(), Relu(), Dense("b", 3), Relu())),
    Architecture("one layer", (1, 4, 4), (Dense("a", 3),)),
    Architecture("large kernel", (3, 12, 12), (Conv("a", 9, 9, 4), Relu(), Dense("b", 3)), 1.0, (100.0, 90.0, 80.0)),
]  # fmt: skip


def random_model(architecture, seed, size=1.0):
    rng = np.random.default_rng(seed)
    layers = architecture.crossbar_layers
    weights = [
        size * rng.uniform(-1, 1, (layer.fan_in, layer.fan_out)) / layer.fan_in**0.5 for layer in layers
    ]
    biases = [size * rng.normal(size=layer.fan_out) for layer in layers]
    return Model.quantised(architecture, weights, biases, "per_layer" if seed % 2 else "global")


def random_state(model, rng, most):
    """Some weights of each layer and the codes that they have instead: pairs of arrays."""
    state = []
    for codes in model.codes:
        places = rng.permutation(codes.size)[: rng.integers(0, most + 1)]
        state.append((places, rng.integers(-(2**15), 2**15, len(places), np.int16)))
    return state


def changes_of(model, states, independent=True):
    first = np.cumsum([0, *(c.size for c in model.codes)])
    lengths = [[len(places) for places, _ in state] for state in states]
    ends = np.cumsum(lengths).reshape(len(states), len(model.codes))
    bounds = np.empty((len(states), len(model.codes) + 1), np.int64)
    bounds[:, 1:] = ends
    bounds[:, 0] = np.concatenate([[0], ends[:-1, -1]]) if len(states) else 0
    places = [at + start for state in states for (at, _), start in zip(state, first[:-1], strict=True)] + [
        np.empty(0, np.int64)
    ]
    codes = [new for state in states for _, new in state] + [np.empty(0, np.int16)]
    values = [
        f.dequantise(new) for state in states for (_, new), f in zip(state, model.formats, strict=True)
    ] + [np.empty(0, np.float32)]
    return Changes(bounds, *map(np.concatenate, (places, codes, values)), independent)


def copy_of(model, state):
    copy = [c.copy() for c in model.codes]
    for codes, (places, new) in zip(copy, state, strict=True):
        codes.reshape(-1)[places] = new
    return tuple(copy)


def plain_logits(model, encoding, states, pictures, sigma, kind, keys):
    evaluator = Evaluator.of(model, encoding=encoding)
    z = np.stack([unit_normals(key, len(pictures), evaluator.noise_elements) for key in keys])
    return evaluator.logits([copy_of(model, state) for state in states], pictures, Noise(sigma, z, kind))


def pictures_for(architecture, m, seed=3):
    return np.random.default_rng(seed).integers(0, 256, (m, *architecture.input_shape), dtype=np.uint8)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(ARCHITECTURES),
    st.sampled_from(ENCODINGS),
    st.sampled_from(sorted(SIGMAS)),
    st.sampled_from([0.1, 1.0, 10.0]),
    st.sampled_from([1.0, 1.0, 30.0, 1e4]),
    st.integers(0, 2**32),
    st.sampled_from([0, 1, 3, 40, 400]),
    st.sampled_from([1, 16, 21]),
)
def test_a_read_is_that_of_the_plain_path(architecture, encoding, kind, strength, size, seed, most, m):
    """Logits agree to half of what is allowed for; weak and strong noise, ordinary weights and huge ones."""
    rng = np.random.default_rng(seed)
    model = random_model(architecture, seed, size)
    states = [random_state(model, rng, most) for _ in range(3)]
    pictures, sigma = pictures_for(architecture, m, seed), strength * SIGMAS[kind]
    keys = [int(key) for key in rng.integers(0, 2**63, 3)]
    reader = NoisyReader(model, encoding, kind)
    fast = reader.logits(changes_of(model, states), pictures, sigma, keys)
    plain = plain_logits(model, encoding, states, pictures, sigma, kind, keys)
    assert fast.dtype == np.float32
    # Squares of the very largest overflow on the fast path alone: told as NaN.
    finite = np.isfinite(fast).all(axis=(1, 2))
    assert finite.all() or size == 1e4
    np.testing.assert_allclose(fast[finite], plain[finite], rtol=0, atol=slack(fast[finite]))


@pytest.mark.parametrize("kind", SIGMAS)
def test_a_read_depends_on_its_state_and_key_alone(kind):
    """To the last bit: companions, further pictures and what was read before do not matter."""
    architecture, rng = ARCHITECTURES[4], np.random.default_rng(1)
    model, pictures = random_model(architecture, 1), pictures_for(architecture, 21)
    states = [random_state(model, rng, most) for most in (0, 5, 50, 5, 0)]
    keys = [5, 6, 7, 6, 5]
    reader = NoisyReader(model, SLC, kind)
    together = reader.logits(changes_of(model, states), pictures, SIGMAS[kind], keys)
    for s in (3, 0, 2):
        alone = reader.logits(changes_of(model, [states[s]]), pictures[:18], SIGMAS[kind], [keys[s]])
        np.testing.assert_array_equal(alone[0], together[s, :18])
    np.testing.assert_array_equal(together[0], together[4])
    assert not np.array_equal(together[1], together[3])


def test_no_states_are_no_reads():
    model = random_model(SMALL, 1)
    reader = NoisyReader(model, SLC, "weight")
    assert reader.logits(changes_of(model, []), pictures_for(SMALL, 3), 0.01, []).shape == (0, 3, 4)


def nothing(model):
    return [(np.empty(0, np.int64), np.empty(0, np.int16)) for _ in model.codes]


def test_no_noise_is_an_ideal_read():
    model, pictures = random_model(SMALL, 1), pictures_for(SMALL, 16)
    state = random_state(model, np.random.default_rng(1), 5)
    silent = NoisyReader(model, SLC, "weight").logits(changes_of(model, [state]), pictures, 0.0, [1])
    np.testing.assert_allclose(
        silent, Evaluator.of(model).logits([copy_of(model, state)], pictures), atol=1e-5
    )


@pytest.mark.parametrize("kind", SIGMAS)
def test_what_is_not_finite_is_reported(kind):
    """Squares that overflow in the first layer, and in the second; what is merely large is read."""
    calm, pictures = random_model(SMALL, 1), np.full((16, 1, 6, 6), 255, np.uint8)
    bright = Architecture("bright", (1, 6, 6), SMALL.steps, input_scale=1e20)
    large = (np.full(3, 1e25, np.float32), np.full(4, 1e25, np.float32))
    for architecture, biases, is_finite in (
        (bright, calm.biases, False),
        (SMALL, (large[0], calm.biases[1]), False),
        (SMALL, (calm.biases[0], large[1]), True),
    ):
        model = Model(architecture, calm.formats, calm.codes, biases)
        read = NoisyReader(model, SLC, kind).logits(changes_of(model, [nothing(model)]), pictures, 1e-3, [1])
        assert np.isfinite(read).all() if is_finite else np.isnan(read).all()


def test_a_state_that_overflows_leaves_the_others_alone():
    """Squares behind the first layer overflow only with weights at the end of their range."""
    architecture = Architecture("edge", (1, 4, 4), (Dense("a", 3), Dense("b", 2)), input_scale=5e16)
    formats = Model.quantised(
        SMALL, [np.full((9, 3), 0.9), np.full((12, 4), 0.9)], [np.zeros(3), np.zeros(4)]
    ).formats
    codes = np.full((16, 3), 8, np.int16), np.full((3, 2), 8, np.int16)
    model = Model(architecture, formats, codes, (np.zeros(3), np.zeros(2)))
    pictures, reader = np.full((16, 1, 4, 4), 200, np.uint8), NoisyReader(model, SLC, "weight")
    places = np.arange(48)
    states = [[(places, np.full(48, code, np.int16)), nothing(model)[1]] for code in (16, 2**15 - 1, 16)]
    finite = np.isfinite(reader.logits(changes_of(model, states), pictures, 1e-3, [1, 1, 1])).all(axis=(1, 2))
    assert finite.tolist() == [True, False, True]


@pytest.mark.parametrize("kind", SIGMAS)
def test_variance_that_cancels_does_not_fall_below_nothing(kind):
    """The one weight of an output that counts is gone: what is left of its variance may be a little below 0."""
    architecture = Architecture("one", (1, 8, 8), (Dense("a", 5), Dense("b", 3)))
    rng, pictures = np.random.default_rng(2), pictures_for(architecture, 16)
    weights = [np.zeros((64, 5)), rng.uniform(-1, 1, (5, 3))]
    weights[0][7] = rng.uniform(0.5, 1, 5)
    model = Model.quantised(architecture, weights, [np.zeros(5), np.zeros(3)])
    state = [(7 * 5 + np.arange(5), np.zeros(5, np.int16)), nothing(model)[1]]
    fast = NoisyReader(model, SLC, kind).logits(changes_of(model, [state]), pictures, SIGMAS[kind], [3])
    plain = plain_logits(model, SLC, [state], pictures, SIGMAS[kind], kind, [3])
    np.testing.assert_allclose(fast, plain, rtol=0, atol=slack(fast))


def test_only_changes_against_the_model_are_read():
    model = random_model(SMALL, 1)
    changes = changes_of(model, [nothing(model)], independent=False)
    with pytest.raises(ValueError, match="independent"):
        NoisyReader(model, SLC, "weight").logits(changes, pictures_for(SMALL, 1), 0.01, [1])


def test_readers_are_kept_by_model_encoding_and_kind():
    model, other = random_model(SMALL, 1), random_model(SMALL, 2)
    reader = noisy_reader_of(model, SLC, "weight")
    assert noisy_reader_of(model, SLC, "weight") is reader
    for another in ((other, SLC, "weight"), (model, ENCODINGS[1], "weight"), (model, SLC, "cell_adc")):
        assert noisy_reader_of(*another) is not reader
    pictures = Architecture("pictures", (1, 4, 4), (Conv("a", 3, 2),))
    assert noisy_reader_of(random_model(pictures, 1), SLC, "weight") is None
    with pytest.raises(ValueError, match="one number a class"):
        NoisyReader(random_model(pictures, 1), SLC, "weight")
