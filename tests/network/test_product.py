"""The product in registers is a product."""

import numba
import numpy as np
import pytest

from lifesim.network.product import OUTPUTS, PICTURES, multiply


@numba.njit
def product(weights, first, x, origin, taps, out, at, apart):
    multiply(weights, first, x, origin, taps, len(taps), out, at, apart)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 500])
def test_a_product_is_one_and_touches_nothing_else(count):
    rng = np.random.default_rng(count)
    weights, x = (rng.normal(size=n).astype(np.float32) for n in (3 + OUTPUTS * count, 5 + 4000))
    taps = rng.integers(0, 4000 - PICTURES, count)
    out = np.full(11 + OUTPUTS * 40, 7, np.float32)
    product(weights, 3, x, 5, taps, out, 11, 40)
    inputs = np.array([x[5 + tap : 5 + tap + PICTURES] for tap in taps]).reshape(count, PICTURES)
    expected = weights[3:].reshape(count, OUTPUTS).T.astype(float) @ inputs.astype(float)
    written = out[11:].reshape(OUTPUTS, 40)
    np.testing.assert_allclose(written[:, :PICTURES], expected, rtol=0, atol=2e-4)
    assert (written[:, PICTURES:] == 7).all() and (out[:11] == 7).all()
