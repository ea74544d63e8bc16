"""Drift against its published closed forms, and combined or chosen cells against all cells one by one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lifesim.crossbar.drift import (
    CellDeviations,
    ConductanceDrift,
    WeightDeviations,
    WeightDrift,
    drift_z,
    misreads,
)
from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.streams import generator, stream_key

MLC = Encoding(2, offset=True)
CMO_HFOX = ConductanceDrift(-0.0890, 0.412, 0.0420, spacing_us=30.0)
NEURRAM = ConductanceDrift(0.0, 2.3, 0.127, spacing_us=40 / 3)
DAY_S = 86_400
Q015 = 2.0**-15
NONE = np.empty(0, np.int64)
ENCODINGS = st.sampled_from([SLC, Encoding(1, offset=True), MLC])


def random_codes(weights, seed):
    return generator(stream_key("codes", seed)).integers(-32768, 32768, weights).astype(np.int16)


def test_published_points():
    assert CMO_HFOX.mean_levels(DAY_S) == pytest.approx(-0.0890 * math.log(DAY_S) / 30)
    assert CMO_HFOX.sd_levels(0.0) == CMO_HFOX.sd_levels(1.0) == pytest.approx(0.412 / 30)
    for age_s, sd_us in ((1, 2.3), (DAY_S, 3.7), (2 * DAY_S, 3.9)):
        assert NEURRAM.sd_levels(age_s) * 40 / 3 == pytest.approx(sd_us, rel=0.02)
    eq8 = WeightDrift(0.03, 1e6)
    assert (eq8.sd_weights(0.0), eq8.sd_weights(1e6)) == (0.0, pytest.approx(0.03))
    assert eq8.sd_weights(1e3) == pytest.approx(0.015, rel=1e-3)


@pytest.mark.parametrize(
    ("drift", "age_s", "theta"),
    [(CMO_HFOX, DAY_S, 0.015), (CMO_HFOX, 3650 * DAY_S, 0.021), (NEURRAM, 1, 0.089)],
)
def test_weights_of_four_level_cells_spread_by_0_516_of_a_level(drift, age_s, theta):
    """Offset binary at Q0.15: sqrt(sum of 16**j) / 32768 = 0.516; and the resulting spreads of weights."""
    factor = math.sqrt(sum(16.0**j for j in range(8))) / 32768
    assert factor == pytest.approx(0.516, abs=5e-4)
    n = 30_000
    deviations = CellDeviations.draw(drift, stream_key("bank"), 3, MLC, n, NONE, reference_column=True)
    weights = deviations.at(age_s) * Q015
    sd = factor * drift.sd_levels(age_s)
    assert sd == pytest.approx(theta, abs=5e-4)
    assert abs(weights.std() / sd - 1) < 3 / math.sqrt(2 * n)
    assert abs(weights.mean()) < 3 * sd / math.sqrt(n)
    assert stats.kstest(weights / sd, "norm").pvalue > 0.001


def test_without_a_reference_column_the_mean_drifts_along():
    """Every cell's mean shift adds up to 21845 codes per level."""
    both = [CellDeviations.draw(CMO_HFOX, 5, 0, MLC, 1000, NONE, reference).at(1e8) for reference in (0, 1)]
    np.testing.assert_allclose(
        both[0] - both[1], CMO_HFOX.mean_levels(1e8) * sum(4**j for j in range(8)), rtol=1e-4
    )


def test_eq_8_moves_every_weight_by_its_own_normal():
    n, eq8 = 30_000, WeightDrift(0.05, 1e6)
    deviations = WeightDeviations.draw(eq8, 9, 2, n, Q015)
    weights = deviations.at(1e6) * Q015
    assert abs(weights.std() / 0.05 - 1) < 3 / math.sqrt(2 * n)
    # Another epoch is another draw; later in the same one, the same weights have moved further.
    other = WeightDeviations.draw(eq8, 9, 3, n, Q015).at(1e6)
    assert abs(np.corrcoef(weights, other)[0, 1]) < 3 / math.sqrt(n)
    np.testing.assert_allclose(deviations.at(1e3), deviations.at(1e6) * eq8.sd_weights(1e3) / 0.05, rtol=1e-5)
    assert not deviations.at(0.0).any()


def test_a_cells_normal_depends_on_its_number_alone():
    n = 150_001  # three pieces, the last of an odd number
    z = drift_z(4, 1, n)
    assert z.dtype == np.float32 and len(z) == n
    for fewer in (0, 1, 2, 65_536, 65_537, 99_999):
        assert np.array_equal(drift_z(4, 1, fewer), z[:fewer])
    assert abs(z.mean()) < 3 / math.sqrt(n) and abs(z.var() - 1) < 3 * math.sqrt(2 / n) < 0.012
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 3 / math.sqrt(n)
    assert stats.kstest(z, "norm").pvalue > 0.001


@settings(deadline=None, max_examples=60)
@given(ENCODINGS, st.integers(0, 2**64), st.integers(1, 40), st.booleans(), st.floats(0, 1e9), st.data())
def test_deviations_are_those_of_the_cells_one_by_one(encoding, key, weights, reference, age_s, data):
    cells = weights * encoding.cells_per_weight
    stuck = data.draw(st.lists(st.integers(0, cells - 1), max_size=20))
    drift = ConductanceDrift(-0.9, 0.4, 0.04, 30.0)
    deviations = CellDeviations.draw(drift, key, 7, encoding, weights, np.array(stuck, np.int64), reference)
    mean, sd, z = drift.mean_levels(age_s), drift.sd_levels(age_s), drift_z(key, 7, cells)
    expected = np.zeros(weights)
    for cell in range(cells):
        moved = 0.0 if cell in stuck else mean + sd * float(z[cell])
        seen = moved - (mean if reference else 0.0)
        expected[cell // encoding.cells_per_weight] += (
            encoding.digit_values()[cell % encoding.cells_per_weight] * seen
        )
    result = deviations.at(age_s)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=0.02)  # of a code: float32 of numbers up to 1e4


def test_weights_that_many_pieces_make_are_as_alone():
    """The second piece of 16-bit weights, cell by cell, and a stuck cell in it."""
    weights, stuck = 10_000, np.array([70_000, 70_001, 3])
    z = drift_z(1, 0, weights * 8).astype(np.float64)
    z[stuck] = 0
    expected = z.reshape(-1, 8) @ MLC.digit_values()
    result = CellDeviations.draw(NEURRAM, 1, 0, MLC, weights, stuck, True)
    np.testing.assert_allclose(result.z, expected, atol=0.02)
    assert np.flatnonzero(result.worth).tolist() == [0, 8750]


@settings(deadline=None, max_examples=60)
@given(
    ENCODINGS,
    st.integers(0, 2**64),
    st.floats(0, 1.5),
    st.floats(-1.5, 1.5),
    st.booleans(),
    st.lists(st.integers(0, 500), max_size=30),
)
def test_misreads_are_those_of_the_cells_one_by_one(encoding, key, sd, mean, reference, stuck):
    drift = ConductanceDrift(mean, sd, 0.0, 1.0)
    codes, age_s, weights = random_codes(64, key), math.e, 64
    cells, levels = misreads(drift, key, 2, encoding, codes, age_s, np.array(stuck, np.int64), reference)
    deviation = np.float32(0 if reference else mean) + np.float32(sd) * drift_z(
        key, 2, encoding.cells_per_weight * weights
    )
    expected = {}
    for cell, (level, moved) in enumerate(zip(encoding.levels(codes).reshape(-1), deviation, strict=True)):
        nearest = min(range(encoding.top_level + 1), key=lambda other: abs(level + float(moved) - other))
        if cell not in stuck and nearest != level:
            expected[cell] = nearest
    found = dict(zip(cells.tolist(), levels.tolist(), strict=True))
    # Half-way between two levels, in float32, either is right.
    ties = set(np.flatnonzero(np.abs(np.abs(deviation) % 1 - 0.5) <= 1e-6).tolist())
    assert {cell: found[cell] for cell in found.keys() - ties} == {
        cell: expected[cell] for cell in expected.keys() - ties
    }
    assert np.all(np.diff(cells) > 0)


@pytest.mark.parametrize("sd", [0.2, 0.4, 0.1])
def test_the_share_of_misread_cells_has_its_closed_form(sd):
    """Inner levels leave on both sides, 2 (1 - Phi(0.5 / sd)); the lowest and the highest on one."""
    codes = random_codes(100_000, 1)
    cells, levels = misreads(ConductanceDrift(0.0, sd, 0.0, 1.0), 6, 0, MLC, codes, 1.0, NONE, True)
    written = MLC.levels_of(codes, cells)
    one_side = stats.norm.sf(0.5 / sd)
    number = np.bincount(MLC.levels(codes).reshape(-1), minlength=4)
    for level, sides in enumerate((1, 2, 2, 1)):
        share = sides * one_side
        se = math.sqrt(share * (1 - share) * number[level])
        assert abs((written == level).sum() - share * number[level]) <= 3 * se
    if sd >= 0.2:
        assert np.abs(levels.astype(int) - written).max() == (2 if sd > 0.3 else 1)


def test_cells_that_drift_little_are_not_even_looked_at(monkeypatch):
    monkeypatch.setattr("lifesim.crossbar.drift._pieces", None)
    cells, levels = misreads(CMO_HFOX, 1, 0, MLC, random_codes(10, 0), 1e9, NONE, True)
    assert len(cells) == len(levels) == 0
