"""Which pictures are chosen, and what share of faulty networks they see: by hand and by brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lifesim.paper.detecting import item_of, shares
from lifesim.paper.pictures import greedily
from lifesim.paper.readings import Condition


def test_the_first_picture_sees_most_and_the_second_what_it_does_not():
    seen = np.array([[1, 0, 1], [1, 0, 0], [1, 0, 0], [0, 1, 0]], bool)
    assert greedily(seen, 3) == [0, 1, 2]


@given(arrays(bool, (8, 6)))
def test_it_is_greedy(seen):
    chosen = greedily(seen, 6)
    assert sorted(chosen) == list(range(6))
    assert seen[:, chosen[0]].sum() == seen.sum(axis=0).max()
    assert greedily(seen, 3) == chosen[:3]
    # What greedy choice misses of all: 1 - 1/e (Nemhauser, Wolsey and Fisher, 1978).
    best = max(seen[:, list(pair)].any(axis=1).sum() for pair in itertools.combinations(range(6), 2))
    assert seen[:, chosen[:2]].any(axis=1).sum() >= (1 - 1 / np.e) * best


@given(st.integers(1, 4), st.integers(2, 30))
def test_of_equals_the_first(count, networks):
    assert greedily(np.ones((networks, 4), bool), count) == list(range(count))


def test_shares_by_hand():
    rng = np.random.default_rng(5)
    deviating = {
        (kind, choice): rng.random((50, 64 if choice == "random" else 16)) < 0.1
        for kind, choice in (
            ("aet", "chosen"),
            ("origin", "same"),
            ("origin", "chosen"),
            ("aet", "random"),
            ("origin", "random"),
        )
    }
    rows = list(shares(deviating))

    def row(**wanted):
        (found,) = [r for r in rows if all(r[key] == value for key, value in wanted.items())]
        return found

    aet, origin = deviating["aet", "chosen"], deviating["origin", "same"]
    four = row(examples="aet", choice="chosen", pictures=4)
    assert four["ours"] == aet[:, :4].any(axis=1).mean() and four["n"] == 50
    gain = row(examples="aet - origin", choice="same", pictures=4)
    assert gain["ours"] == pytest.approx(four["ours"] - origin[:, :4].any(axis=1).mean())
    sets = [deviating["aet", "random"][:, i : i + 16].any(axis=1).mean() for i in range(0, 64, 16)]
    random = row(examples="aet", choice="random", pictures=16)
    assert random["ours"] == pytest.approx(np.mean(sets)) and random["n"] == 4
    assert 0 <= random["low"] <= random["ours"] <= random["high"] <= 1
    assert row(examples="aet", choice="random", pictures=1)["n"] == 64
    assert len(rows) == 4 * 8


def test_conditions_belong_to_figures():
    assert item_of(Condition("SLC", soft=0.01)) == "fig7"
    assert item_of(Condition("MLC", permanent=0.01)) == "fig8"
    assert item_of(Condition("MLC", theta=0.01)) == "fig9"
    assert item_of(Condition("MLC", permanent=0.01, theta=0.01)) == "fig10"
