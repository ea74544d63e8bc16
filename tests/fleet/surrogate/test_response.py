"""The response: a distribution that is known comes out of samples of it, and everything survives being kept."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from lifesim.fleet.surrogate.response import LEVELS, Quantiles, Reading, Response, Retrained
from lifesim.streams import generator


@pytest.fixture(scope="module")
def samples() -> tuple[np.ndarray, np.ndarray]:
    """What is shown is the root of the harm times a lognormal factor of sigma 0.5."""
    rng = generator(1)
    harm = np.exp(rng.uniform(-4.0, 4.0, 4000))
    return harm, np.sqrt(harm) * np.exp(0.5 * rng.standard_normal(4000))


@pytest.fixture(scope="module")
def fitted(samples: tuple[np.ndarray, np.ndarray]) -> Quantiles:
    return Quantiles.fit(*samples)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_known_law_comes_out(fitted: Quantiles, place: float) -> None:
    harm = np.exp(np.array([-3.0, 0.0, 3.0]))
    shown = fitted.shown(fitted.course(place), harm)
    # A bin has 40 samples; the standard error of a quantile at these places is some 0.14 in ln.
    assert np.abs(np.log(shown / np.sqrt(harm)) - 0.5 * stats.norm.ppf(place)).max() < 5 * 0.14


def test_courses_never_fall_and_go_on_below_the_grid_as_the_root(fitted: Quantiles) -> None:
    assert (np.diff(fitted.values, axis=0) >= 0).all()
    course = fitted.course(0.5)
    least = np.exp(fitted.log_harm[0])
    at, below, none = fitted.shown(course, np.array([least, least / 100, 0.0]))
    assert below == pytest.approx(at / 10) and none == 0


def test_places_of_samples_are_uniform_and_shares_right(
    fitted: Quantiles, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    harm, shown = (of[:1000] for of in samples)
    places = fitted.places(harm, shown, generator(2).random(1000))
    assert stats.kstest(places, "uniform").statistic < 5 * 0.5 / np.sqrt(1000)
    share = np.mean(shown > 1.0)
    assert abs(fitted.share_above(harm, 1.0).mean() - share) < 5 * np.sqrt(share * (1 - share) / 1000)


def test_wandering_places_keep_the_distribution_and_as_much_of_themselves_as_is_said(
    fitted: Quantiles,
) -> None:
    courses = fitted.courses(0.5, 3)
    step = (fitted.log_harm[1] - fitted.log_harm[0]) / np.log(2)
    middle = 50
    below = (courses[:, middle] <= fitted.course(0.25)[middle]).mean()
    assert abs(below - 0.25) < 5 * np.sqrt(0.25 * 0.75 / len(courses))
    later = middle + round(1 / step)
    ranks = (
        stats.norm.ppf((np.argsort(np.argsort(courses[:, i])) + 0.5) / len(courses)) for i in (middle, later)
    )
    assert abs(np.corrcoef(*ranks)[0, 1] - 0.5) < 5 * 0.75 / np.sqrt(len(courses))


def test_reading_is_monotone_and_between_what_was_seen() -> None:
    rng = generator(4)
    reached = rng.uniform(0.0, 2.0, 5000)
    first = rng.random(5000) < stats.norm.cdf((reached - 1) / 0.1)
    confirmed = first & (rng.random(5000) < stats.norm.cdf((reached - 1) / 0.1))
    reading = Reading.fit(reached, first, confirmed, 100 * reached)
    at = np.linspace(0.0, 3.0, 50)
    seen_first, seen_confirmed = reading.outcomes(at)
    assert (np.diff(seen_first) >= 0).all() and (seen_confirmed <= seen_first).all()
    assert seen_first[0] < 0.01 and seen_confirmed[-1] > 0.95
    assert float(reading.outcomes(np.array([1.0]))[0][0]) == pytest.approx(0.5, abs=0.15)


def test_what_has_been_kept_is_the_same(fitted: Quantiles) -> None:
    reading = Reading(*(np.arange(3.0),) * 4)
    retrained = Retrained(
        np.array([1, 5, 30]), np.array([True, True, False]), *(np.arange(3),) * 3, np.ones((3, 2), int), np.arange(3), np.zeros((2, 1, 4, 4), np.uint8)
    )  # fmt: skip
    response = Response(fitted, fitted, fitted, fitted, reading, 0.1, 0.4, retrained)
    again = Response.decode(response.encode())
    assert np.array_equal(again.lost.values, fitted.values) and again.persistence == 0.4
    assert np.array_equal(again.retrained.in_spec, retrained.in_spec)
    assert Response.decode(dataclasses.replace(response, retrained=None).encode()).retrained is None
    with pytest.raises((ValueError, OSError, KeyError)):
        Response.decode(b"something else")
    assert len(LEVELS) == fitted.values.shape[1]


def test_an_example_is_like_the_device() -> None:
    stuck = np.array([1, 2, 4, 8, 16, 32, 64, 128])
    none = np.zeros(8, int)
    retrained = Retrained(stuck, none, none, none, none, none, none, none)
    assert {retrained.like(20, place) for place in (0.1, 0.4, 0.6, 0.9)} == {3, 4, 5, 6}
    assert retrained.like(1000, 0.01) == 7
