"""Control variates over regions: unbiased, with intervals that cover as often as they say, and no worse for a surrogate that is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lifesim.experiment.multifidelity import CONFIDENCE, Estimate, estimate, sampled_regions
from lifesim.streams import generator, stream_key

REGIONS, EXACT, TRUTH = 60, 8, 5.0


def estimates(correlation: float, offset: float, repetitions: int = 400) -> list[Estimate]:
    rng = generator(stream_key("estimates", str(correlation), str(offset)))
    found = []
    for _ in range(repetitions):
        y = TRUTH + rng.standard_normal(REGIONS)
        noise = math.sqrt(1 - correlation**2) * rng.standard_normal(REGIONS)
        x = offset + correlation * (y - TRUTH) + noise
        which = rng.permutation(REGIONS)[:EXACT]
        found.append(estimate({int(r): float(y[r]) for r in which}, x))
    return found


@pytest.mark.parametrize(("correlation", "offset"), [(0.95, 0.0), (0.95, 70.0), (0.0, -3.0)])
def test_unbiased_and_covering(correlation: float, offset: float) -> None:
    found = estimates(correlation, offset)
    errors = np.array([of.combined - TRUTH for of in found])
    assert abs(errors.mean()) < 5 * errors.std() / math.sqrt(len(errors))
    covered = np.mean([abs(of.combined - TRUTH) <= of.combined_half_width for of in found])
    assert abs(covered - CONFIDENCE) < 5 * math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / len(found))


def test_a_good_surrogate_narrows_the_interval() -> None:
    found = estimates(0.95, 0.0)
    ratio = np.median([of.exact_half_width / of.combined_half_width for of in found])
    assert ratio == pytest.approx(1 / math.sqrt(1 - 0.95**2 + 0.95**2 * EXACT / REGIONS), rel=0.25)
    (of, *_) = found
    assert of.narrower(1.0, 3.0) == pytest.approx(of.narrower(1.0, 0.0) / 2)


def test_what_does_not_vary_is_known() -> None:
    same = estimate({n: 2.0 for n in range(4)}, [3.0] * 10)
    assert same.combined == 2.0 and same.combined_half_width == 0.0 and same.narrower(1.0, 1.0) == 1.0


def test_few_regions_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        estimate({0: 1.0, 1: 2.0, 2: 3.0}, [1.0] * 10)
    with pytest.raises(ValueError, match="fewer than all"):
        estimate({n: 1.0 for n in range(5)}, [1.0] * 5)


def test_the_sample_is_keyed_and_without_repetition() -> None:
    chosen = sampled_regions(3, 50, 12)
    assert chosen == sampled_regions(3, 50, 12) and len(set(chosen)) == 12
    assert chosen != sampled_regions(4, 50, 12)
