"""Updates in steps of four bits: exact on both ends, nearest to what is wanted, damage noticed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lifesim.recovery.agreed import Agreed
from lifesim.recovery.delta import DeltaError
from lifesim.recovery.steps import Steps, Update, apply_update, encode_update


@pytest.fixture
def agreed(mlp_model):
    rng = np.random.default_rng(1)
    chosen = [
        np.sort(rng.choice(c.size, n, replace=False))
        for c, n in zip(mlp_model.codes, (0, 300, 150), strict=True)
    ]
    return Agreed(tuple(chosen))


def random_update(agreed, seed, exponents=(6, 9)):
    rng = np.random.default_rng(seed)
    return Update(
        tuple(
            Steps(e, rng.integers(-8, 8, len(chosen)).astype(np.int8))
            for e, chosen in zip(exponents, agreed.weights[1:], strict=True)
        )
    )


@pytest.mark.parametrize("exponents", [(0, 3), (12, 12)])
def test_is_an_exact_inverse_also_where_codes_saturate(mlp_model, agreed, exponents):
    update = random_update(agreed, 5, exponents)
    new = update.applied(mlp_model, agreed)
    assert apply_update(mlp_model, encode_update(mlp_model, new, update), agreed).digest == new.digest
    assert new.digest != mlp_model.digest
    for layer, (before, after) in enumerate(zip(mlp_model.codes, new.codes, strict=True)):
        moved = np.flatnonzero((before != after).reshape(-1))
        assert np.isin(moved, agreed.weights[layer]).all()


def test_it_takes_at_most_half_a_byte_a_weight(mlp_model, agreed):
    update = random_update(agreed, 5)
    message = encode_update(mlp_model, update.applied(mlp_model, agreed), update)
    assert len(message) < agreed.count / 2 + 50


def test_nothing_to_change(mlp_model, agreed):
    update = Update(tuple(Steps.nearest(np.zeros(len(chosen))) for chosen in agreed.weights[1:]))
    new = update.applied(mlp_model, agreed)
    assert new.digest == mlp_model.digest
    message = encode_update(mlp_model, new, update)
    assert len(message) < 50 and apply_update(mlp_model, message, agreed).digest == mlp_model.digest


def test_truncation_damage_another_base_and_another_kind_are_refused(mlp_model, agreed):
    update = random_update(agreed, 7)
    new = update.applied(mlp_model, agreed)
    message = encode_update(mlp_model, new, update)
    for length in range(len(message)):
        with pytest.raises(DeltaError):
            apply_update(mlp_model, message[:length], agreed)
    for place in range(len(message)):
        damaged = bytearray(message)
        damaged[place] ^= 0x11
        try:
            found = apply_update(mlp_model, bytes(damaged), agreed)
        except DeltaError:
            continue
        assert found.digest == new.digest, "a byte that says nothing"
    with pytest.raises(DeltaError, match="backup is version"):
        apply_update(new, message, agreed)


@settings(deadline=None)
@given(arrays(np.float64, st.integers(1, 6), elements=st.floats(-40_000, 40_000)))
def test_steps_are_the_nearest_of_all_exponents(changes):
    found = Steps.nearest(changes)
    error = ((found.steps * 2.0**found.exponent - changes) ** 2).sum()
    best = min(((np.clip(np.rint(changes / 2.0**e), -8, 7) * 2.0**e - changes) ** 2).sum() for e in range(13))
    assert error <= best * (1 + 1e-12)
