"""Intervals against closed forms, and the one rule by which numbers are judged."""

import math

import numpy as np
import pytest

from lifesim.paper.verdicts import Claim, Estimate, claims, judged


def test_a_share_has_wilsons_interval():
    ours = Estimate.share(45, 50)
    p, n, z = 0.9, 50, 1.959963984540054
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert ours.ours == 0.9 and ours.n == 50
    assert (ours.low, ours.high) == pytest.approx((centre - half, centre + half))


def test_a_share_of_all_is_not_certain():
    assert Estimate.share(1000, 1000).low == pytest.approx(1 / (1 + 1.96**2 / 1000), abs=1e-5)


def test_a_mean_has_a_t_interval_within_what_is_possible():
    values = [0.9, 1.0, 0.8, 0.9]
    half = 3.182446305284263 * np.std(values, ddof=1) / 2
    ours = Estimate.mean(values)
    assert (ours.low, ours.high) == pytest.approx((0.9 - half, 0.9 + half))
    assert Estimate.mean(values, 0.0, 1.0).high == 1.0
    assert Estimate.mean([0.5], 0.0, 1.0) == Estimate(0.5, 0.0, 1.0, 1)


@pytest.mark.parametrize(
    ("sense", "low", "high", "verdict"),
    [
        ("at_least", 0.90, 0.99, "meets"),
        ("at_least", 0.85, 0.95, "consistent"),
        ("at_least", 0.80, 0.89, "fails"),
        ("at_most", 0.80, 0.90, "meets"),
        ("at_most", 0.85, 0.95, "consistent"),
        ("at_most", 0.91, 0.95, "fails"),
        ("equal", 0.89, 0.91, "meets"),
        ("equal", 0.91, 0.93, "consistent"),
        ("equal", 0.93, 0.95, "fails"),
        ("equal", 0.80, 0.99, "consistent"),
        ("at_least", 0.90, 0.90, "meets"),
        ("at_least", 0.89, 0.89, "fails"),
    ],
)
def test_the_rule(sense, low, high, verdict):
    tolerance = 0.02 if sense == "equal" else 0.0
    claim = Claim("fig7", {}, 0.9, sense, tolerance, "text")
    assert claim.verdict(Estimate((low + high) / 2, low, high, 100)) == verdict


def test_a_claim_speaks_of_the_rows_that_it_names():
    row = {"network": "mlp", "measure": "accuracy", "ours": 0.98, "low": 0.97, "high": 0.99, "n": 1000}
    assert judged("table1", row)["verdict"] == "meets" and judged("table1", row)["paper"] == 0.9616
    assert judged("table1", {**row, "network": "other"})["verdict"] == ""
    assert judged("fig9", row)["paper"] is None


def test_every_claim_says_where_it_stands():
    assert len(claims()) >= 14
    assert all(claim.where and claim.sense in ("at_least", "at_most", "equal") for claim in claims())
