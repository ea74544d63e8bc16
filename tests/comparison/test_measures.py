"""What things cost at a scenario's prices, by hand; the other measures are held against a run's summary in test_compare."""

from pathlib import Path

import pytest

from lifesim.comparison.measures import CURVES, MEASURES, WEAR, cost, measure_fleet, measure_regions
from lifesim.experiment import schema
from lifesim.experiment.executors import InProcessExecutor
from lifesim.experiment.lives import live
from lifesim.experiment.totals import totals_of
from lifesim.scenario.load import load_scenario
from lifesim.scenario.prices import Prices

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.toml"
HOUR_NS = 3_600_000_000_000
FREE = Prices()


def costs(prices, counts=None, hours=None, energy_j=0.0, extra_wrong=0.0):
    time_ns = dict.fromkeys(schema.STATES, 0) | {state: h * HOUR_NS for state, h in (hours or {}).items()}
    return cost(prices, dict.fromkeys(schema.COUNTS, 0) | (counts or {}), time_ns, energy_j, extra_wrong)


@pytest.mark.parametrize(
    ("prices", "what", "expected"),
    [
        ({"per_test": 2}, {"counts": {"tests": 3}}, 6),
        ({"per_kwh": 0.3}, {"energy_j": 7.2e6}, 0.6),
        ({"per_mb": 4}, {"counts": {"uplink_sent_bytes": 500_000, "downlink_sent_bytes": 1_000_000}}, 6),
        ({"per_job": 5}, {"counts": {"jobs": 2, "retrainings": 9}}, 10),
        ({"per_silent_h": 0.5}, {"hours": {"out_silent": 4, "out_known": 9}}, 2),
        ({"per_known_h": 0.5}, {"hours": {"out_silent": 4, "out_known": 9}}, 4.5),
        ({"per_wrong_inference": 0.01}, {"extra_wrong": 50.0}, 0.5),
        ({"per_device": 100}, {"counts": {"retirements": 2}}, 200),
    ],
)
def test_one_price_after_the_other(prices, what, expected):
    assert costs(Prices(**prices), **what) == pytest.approx(expected)
    assert costs(FREE, **what) == 0


def test_down_is_every_state_in_which_a_device_does_not_serve_after_its_start():
    serving, before = ("in_spec", "out_known", "out_silent"), ("uncommissioned",)
    for state in schema.STATES:
        expected = 0 if state in serving + before else 7
        assert costs(Prices(per_down_h=7), hours={state: 1}) == expected, state


def test_costs_add_up():
    prices = Prices(per_test=2, per_silent_h=0.5)
    assert costs(prices, {"tests": 3}, {"out_silent": 4}) == costs(prices, {"tests": 3}) + costs(
        prices, hours={"out_silent": 4}
    )


def test_what_is_kept_is_what_runs_have():
    assert set(CURVES.values()) <= schema.FLEET.keys()
    assert set(WEAR) <= schema.LAYERS.keys()
    assert {measure.better for measure in MEASURES.values()} == {"higher", "lower"}


def test_measures_of_regions_are_those_of_one_fleet_of_all_their_devices():
    """One region counted twice is a fleet of twice its devices: every measure but those of the spread is that of the one."""
    scenario = load_scenario(
        QUICKSTART,
        ["group.cameras.count=2", "horizon_s=600 d", "report_interval_s=100 d", "group.cameras.site.mean_c=65", "group.cameras.schedule={kind=\"periodic\", interval_s=\"150 d\"}",
         "prices.per_test=0.5", "prices.per_silent_h=2"],
    )  # fmt: skip
    lives = live(scenario, InProcessExecutor())
    totals = totals_of(lives)
    one, same, twice = (
        measure_fleet(scenario, lives),
        measure_regions(scenario, totals),
        measure_regions(scenario, totals + totals),
    )
    assert one["measures"]["silent_share"] > 0 and one["measures"]["cost"] > 0
    for name, value in one["measures"].items():
        expected = None if value is None else pytest.approx(value, rel=1e-12)
        assert same["measures"][name] == expected, name
        if name != "accuracy_p05":
            assert twice["measures"][name] == expected, name
    assert same["spells"] == one["spells"]
    for ending, spells in one["spells"].items():
        assert twice["spells"][ending] == {
            "seconds": spells["seconds"],
            "counts": [2 * n for n in spells["counts"]],
        }
