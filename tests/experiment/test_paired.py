"""The sequential test: against brute force over all pairs, as a martingale, and by how often it is wrong."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import betaln

from lifesim.experiment.paired import PairedTest, Tally


def hypergeometric(hits: int, seen: int, total: int, pictures: int) -> float:
    """The probability of so many hits among those seen, of ``total`` among all."""
    if not 0 <= total - hits <= pictures - seen:
        return 0.0
    return comb(seen, hits) * comb(pictures - seen, total - hits) / comb(pictures, total)


def under_prior(hits: int, seen: int, expected: float, pictures: int) -> float:
    """The probability of so many hits if their share is drawn from the prior first."""
    mean = min(0.5, expected / max(pictures, 1))
    shapes = ((0.9, 0.5, 0.5 / mean - 0.5), (0.1, 0.5, 0.5))
    return sum(
        w * comb(seen, hits) * np.exp(betaln(hits + a, seen - hits + b) - betaln(a, b)) for w, a, b in shapes
    )


def ratios(test: PairedTest, seen: Tally) -> np.ndarray:
    """R of every pair [right + 1, wrong + 1]: prior probability of what was seen over its probability under the pair."""
    expected = max(test.right - test.required, 1) / 2
    prior = under_prior(seen.losses, seen.right, expected, test.right)
    prior *= under_prior(seen.gains, seen.wrong, expected, test.wrong)
    chances = np.outer(
        [hypergeometric(seen.losses, seen.right, losses, test.right) for losses in range(test.right + 1)],
        [hypergeometric(seen.gains, seen.wrong, gains, test.wrong) for gains in range(test.wrong + 1)],
    )
    return np.divide(prior, chances, out=np.full(chances.shape, np.inf), where=chances > 0)


def correct_of_pairs(test: PairedTest) -> np.ndarray:
    return test.right - np.arange(test.right + 1)[:, None] + np.arange(test.wrong + 1)


@st.composite
def questions(draw: st.DrawFn) -> tuple[PairedTest, Tally]:
    right, wrong = draw(st.integers(1, 25)), draw(st.integers(0, 8))
    confidence = draw(st.sampled_from([0.5, 0.8, 0.9, 0.99, 1.0]))
    test = PairedTest(right, wrong, draw(st.integers(0, right)), confidence)
    seen_right, seen_wrong = draw(st.integers(0, right)), draw(st.integers(0, wrong))
    losses, gains = draw(st.integers(0, seen_right)), draw(st.integers(0, seen_wrong))
    return test, Tally(seen_right, seen_wrong, losses, gains)


@settings(deadline=None, max_examples=300)
@given(questions())
def test_verdicts_and_bounds_are_those_of_brute_force(question: tuple[PairedTest, Tally]) -> None:
    test, seen = question
    alpha = 1.0 - test.confidence
    found = ratios(test, seen)
    if alpha:
        assume(
            not np.isclose(found, 1.0 / alpha, rtol=1e-9).any()
        )  # products and logarithms round differently
    ruled_out = found >= (1.0 / alpha if alpha else np.inf)
    correct = correct_of_pairs(test)
    in_spec, out_of_spec = ruled_out[correct < test.required].all(), ruled_out[correct >= test.required].all()
    assert test.verdicts(seen)[0] == (1 if in_spec else -1 if out_of_spec else 0)
    assert test.lowest(seen)[0] == correct[~ruled_out].min()


@pytest.mark.parametrize(("losses", "gains"), [(0, 0), (3, 1), (7, 2), (9, 0), (12, 5)])
@pytest.mark.parametrize(("seen_right", "seen_wrong"), [(1, 0), (5, 2), (12, 3), (14, 5)])
def test_the_ratio_of_the_true_pair_is_1_on_average(
    losses: int, gains: int, seen_right: int, seen_wrong: int
) -> None:
    """All that can be seen, with its probability: exact. It is less where the pair excludes some of what the prior expects."""
    test = PairedTest(14, 5, 11, 0.9)
    average = sum(
        hypergeometric(a, seen_right, losses, 14)
        * hypergeometric(b, seen_wrong, gains, 5)
        * ratios(test, Tally(seen_right, seen_wrong, a, b))[losses, gains]
        for a, b in product(range(seen_right + 1), range(seen_wrong + 1))
        if hypergeometric(a, seen_right, losses, 14) * hypergeometric(b, seen_wrong, gains, 5)
    )
    assert average <= 1.0 + 1e-12
    if seen_right <= min(losses, 14 - losses) and seen_wrong <= min(gains, 5 - gains):
        assert average == pytest.approx(1.0)


def looked_at(right: int, wrong: int, losses: int, gains: int, runs: int, step: int, seed: int) -> Tally:
    """What is seen after every ``step`` pictures in random orders: arrays [runs, looks]."""
    rng = np.random.default_rng(seed)
    pictures = np.repeat([0, 1, 2, 3], [right - losses, losses, wrong - gains, gains])
    orders = rng.permuted(np.tile(pictures, (runs, 1)), axis=1)
    kinds = [(orders < 2), (orders >= 2), (orders == 1), (orders == 3)]
    ends = [*range(step, right + wrong, step), right + wrong]
    return Tally(*(kind.cumsum(axis=1)[:, np.array(ends) - 1] for kind in kinds))


@pytest.mark.parametrize(
    ("losses", "gains", "in_spec"),
    [(11, 0, False), (14, 3, False), (20, 9, False), (10, 0, True), (19, 9, True)],
)
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_verdicts_are_wrong_as_seldom_as_stated(
    losses: int, gains: int, in_spec: bool, confidence: float
) -> None:
    """Devices a picture off the threshold, looked at after every piece of 16 pictures."""
    right, wrong, runs = 240, 30, 2000
    test = PairedTest(right, wrong, right - 10, confidence)
    seen = looked_at(right, wrong, losses, gains, runs, 16, seed=losses)
    verdicts = np.stack([test.verdicts(Tally(*at)) for at in np.moveaxis(np.array(seen), 2, 0)], axis=1)
    first = verdicts[np.arange(runs), (verdicts != 0).argmax(axis=1)]
    assert (first != 0).all()
    wrong_verdicts = (first > 0) != in_spec
    alpha = 1.0 - confidence
    assert wrong_verdicts.mean() <= alpha + 3 * np.sqrt(alpha * confidence / runs)
    decided_early = (verdicts[:, :-1] != 0).any(axis=1)
    assert decided_early.any()


def test_the_error_rate_would_be_noticed() -> None:
    """Told that less is enough, the same test is wrong more often than it may be."""
    test = PairedTest(240, 30, 230, 0.95)
    test._ruled_out = 0.5
    seen = looked_at(240, 30, 11, 0, 500, 16, seed=1)
    verdicts = np.stack([test.verdicts(Tally(*at)) for at in np.moveaxis(np.array(seen), 2, 0)], axis=1)
    assert (verdicts[np.arange(500), (verdicts != 0).argmax(axis=1)] > 0).mean() > 0.1


@given(st.integers(0, 40), st.integers(0, 10), st.integers(0, 41))
def test_once_all_is_seen_verdicts_are_the_truth(losses: int, gains: int, required: int) -> None:
    for confidence in (0.5, 0.999, 1.0):
        test, seen = PairedTest(40, 10, required, confidence), Tally(40, 10, losses, gains)
        assert test.verdicts(seen)[0] == (1 if 40 - losses + gains >= required else -1)
        assert test.lowest(seen)[0] == 40 - losses + gains


def test_certainty_takes_all_pictures_that_could_still_matter() -> None:
    test = PairedTest(100, 0, 90, 1.0)
    unseen = np.arange(15)
    verdicts = test.verdicts(Tally(100 - unseen, 0 * unseen, 0 * unseen, 0 * unseen))
    assert verdicts.tolist() == [1] * 11 + [0] * 4
    assert test.verdicts(Tally(12, 0, 11, 0))[0] == -1


def test_a_healthy_device_is_known_to_be_after_what_theory_asks_for() -> None:
    """To rule out 11 losses among 1,000 by having seen none takes a share f with (1 - f)^11 < alpha: nobody can do with less."""
    test = PairedTest(1000, 0, 990, 0.999)
    seen = np.arange(0, 1001, 10)
    decided = seen[test.verdicts(Tally(seen, 0 * seen, 0 * seen, 0 * seen)).argmax()]
    least = 1.0 - 0.001 ** (1 / 11)
    assert least * 1000 < decided < 1.2 * least * 1000


def test_states_are_judged_each_by_itself() -> None:
    test = PairedTest(200, 20, 195, 0.9)
    tallies = [Tally(180, 15, k, g) for k, g in product(range(0, 30, 3), range(0, 12, 4))]
    together = test.verdicts(Tally(*map(np.array, zip(*tallies, strict=True))))
    assert together.tolist() == [test.verdicts(tally)[0] for tally in tallies]
    assert set(together.tolist()) == {-1, 0, 1}
