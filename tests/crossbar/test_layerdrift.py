"""Drift of a layer over programmings, single cells rewritten among them, against every cell on its own."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.drift import ConductanceDrift, WeightDrift, drift_z
from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.layerdrift import LayerDrift
from lifesim.crossbar.programming import Programmed
from lifesim.physics.temperature import CosineProfile, equivalent_time
from lifesim.streams import stream_key
from lifesim.timeunits import S_PER_DAY

DAY_NS = S_PER_DAY * 10**9
MLC = Encoding(2, offset=True)
WEIGHTS = 30
CELLS = WEIGHTS * MLC.cells_per_weight
CLOCK = equivalent_time(CosineProfile(40.0, 10.0), 25.0, 1.1)
CMO = ConductanceDrift(-0.089, 0.412, 0.042, 30.0)
STUCK = np.array([3, 17, 100], np.int64)


def drift_of(model=CMO, reference_column=True, key=5, weights=WEIGHTS):
    return LayerDrift(key, model, CLOCK, MLC, weights, reference_column)


def age_s(since_ns, time_ns):
    return CLOCK.at(time_ns / 1e9) - CLOCK.at(since_ns / 1e9)


patches = st.lists(st.lists(st.integers(0, CELLS - 1), max_size=40, unique=True).map(sorted), max_size=3)


@settings(deadline=None, max_examples=30)
@given(patches, st.booleans(), st.integers(0, 400))
def test_every_cell_drifts_from_its_own_last_write(rewritten, reference_column, later_days):
    programmed = Programmed(DAY_NS, 4, 9)
    written_ns, z = np.full(CELLS, DAY_NS), drift_z(5, 4, CELLS)
    for day, cells in enumerate(rewritten, start=2):
        cells = np.array(cells, np.int64)
        programmed = programmed.patched(cells, day * DAY_NS)
        if len(cells):
            written_ns[cells] = day * DAY_NS
            z[cells] = drift_z(stream_key(5, "patch", len(programmed.patches)), 4, CELLS)[cells]
    time_ns = (5 + later_days) * DAY_NS
    ages = [age_s(since, time_ns) for since in written_ns]
    levels = np.array([CMO.mean_levels(a) + CMO.sd_levels(a) * n for a, n in zip(ages, z, strict=True)])
    levels[STUCK] = 0.0
    if reference_column:  # programmed with the layer, and never since
        levels -= CMO.mean_levels(age_s(DAY_NS, time_ns))
    expected = levels.reshape(WEIGHTS, -1) @ MLC.digit_values()
    layer = drift_of(reference_column=reference_column)
    found = layer.deviation(programmed, time_ns, STUCK, 2.0**-15)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-2 * np.abs(MLC.digit_values()).max() * 1e-2)
    assert np.array_equal(layer.deviation(programmed, time_ns, STUCK, 2.0**-15), found), "asked again"


def test_eq_8_moves_every_weight_by_theta_and_a_rewritten_one_anew():
    n, theta, reached_s = 90_000, 0.03, 1e6
    layer = drift_of(WeightDrift(theta, reached_s), weights=n)
    time_ns = 30 * DAY_NS
    programmed = Programmed(0, 1, 1)
    sd = theta * math.log1p(age_s(0, time_ns)) / math.log1p(reached_s)
    deviation = layer.deviation(programmed, time_ns, STUCK, 2.0**-15) * 2.0**-15
    # 3 standard errors of a mean and of a standard deviation.
    assert abs(deviation.mean()) < 3 * sd / math.sqrt(n)
    assert abs(deviation.std() / sd - 1) < 3 / math.sqrt(2 * n) < 0.01
    cells = np.arange(0, 400, 2, dtype=np.int64)  # of the first 50 weights
    patched = (
        layer.deviation(programmed.patched(cells, time_ns - 10**10), time_ns, STUCK, 2.0**-15) * 2.0**-15
    )
    assert np.array_equal(patched[50:], deviation[50:])
    young = theta * math.log1p(age_s(time_ns - 10**10, time_ns)) / math.log1p(reached_s)
    assert 0.5 * young < patched[:50].std() < 1.5 * young < deviation[:50].std()


def test_epochs_have_drifts_of_their_own():
    one, two = (drift_of().deviation(Programmed(0, e, 1), 10 * DAY_NS, STUCK, 1.0) for e in (1, 2))
    assert abs(np.corrcoef(one, two)[0, 1]) < 3 / math.sqrt(WEIGHTS)


def test_digital_reads_miss_levels_that_have_drifted_half_a_spacing():
    neurram = ConductanceDrift(0.0, 2.3, 0.127, 40 / 3)
    n = 40_000
    layer = drift_of(neurram, weights=n)
    codes = np.random.default_rng(1).integers(-32768, 32768, n).astype(np.int16)
    time_ns = 40 * DAY_NS
    cells, levels = layer.misread(Programmed(0, 1, 1), time_ns, codes, STUCK)
    # Half of the cells at an end can only be misread on one side: 3/4 of the two-sided tail.
    tail = math.erfc(0.5 / neurram.sd_levels(age_s(0, time_ns)) / math.sqrt(2))
    share, total = 0.75 * tail, n * MLC.cells_per_weight
    standard_error = math.sqrt(share / total)
    assert standard_error < 0.01 * share
    assert abs(len(cells) / total - share) < 3 * standard_error
    assert not set(cells.tolist()) & set(STUCK.tolist()) and len(levels) == len(cells)
    assert np.all(levels != MLC.levels_of(codes, cells))
    fresh = Programmed(0, 1, 1).patched(cells, time_ns)
    assert len(layer.misread(fresh, time_ns, codes, STUCK)[0]) == 0
