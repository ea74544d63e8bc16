"""Each mechanism alone, from the scenario's file to the files of results: what it changes against a closed form or a count by brute force.

Every scenario is that of ``inert.toml``, in which nothing happens, with what the test says. Means lie within 3 standard errors of what
is expected, and the standard error is below 1 % of it where the test does not say otherwise.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special

import lifesim
from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.experiment.executors import InProcessExecutor
from lifesim.experiment.results import Result
from lifesim.fleet.simulation import make_plans, simulate
from lifesim.network.store import trained_model
from lifesim.scenario.models import Scenario

INERT = Path(__file__).with_name("inert.toml")
SHAPES = {"fc1": (784, 64), "fc2": (64, 32), "fc3": (32, 10)}
LAYER_CELLS = {name: 16 * rows * columns for name, (rows, columns) in SHAPES.items()}
CELLS = sum(LAYER_CELLS.values())
DAY_S, YEAR_S = 86_400.0, 365 * 86_400.0
HORIZON_S = 100 * DAY_S
TOP = ("horizon_s=", "report_interval_s=", "seed=", "spec.", "cloud.", "backhaul.")

Live = Callable[..., Result]


def scenario(*settings: str) -> Scenario:
    """Return the inert scenario with settings: of the whole, or of the group."""
    everlasting = (
        () if any("endurance_" in s for s in settings) else ("technology.endurance_scale_cycles=1e18",)
    )
    return lifesim.load(
        INERT,
        [s if s.startswith(TOP) else f"group.g.{s}" for s in (*everlasting, *settings)],
    )


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Live:
    @functools.cache
    def run(*settings: str) -> Result:
        return lifesim.run(scenario(*settings), tmp_path_factory.mktemp("alone"))

    return run


@pytest.fixture(scope="module")
def codes() -> tuple[np.ndarray, ...]:
    """The codes in the backup, by layer."""
    return trained_model(scenario().group["g"].network).codes


def agree(measured: float, expected: float, standard_error: float, most: float = 0.01) -> None:
    """``most``: the standard error that is allowed, in shares of what is expected."""
    assert standard_error <= most * abs(expected)
    assert abs(measured - expected) <= 3 * standard_error, (measured, expected, standard_error)


def agree_in_number(measured: float, n: int, share: float, devices: int = 1, most: float = 0.01) -> None:
    """``measured``: mean over devices of the number of ``n`` cells to which it happened, to each with probability ``share``."""
    agree(measured, n * share, math.sqrt(n * share * (1 - share) / devices), most)


def weibull(x: float, scale: float, shape: float) -> float:
    return -math.expm1(-((x / scale) ** shape))


def lognormal(x: float, median: float, sigma_ln: float) -> float:
    return 0.5 * math.erfc(-math.log(x / median) / sigma_ln / math.sqrt(2))


def last(result: Result, column: str) -> float:
    return float(result.fleet[column].iloc[-1])


def happened(result: Result, kind: str) -> pd.DataFrame:
    return result.events[result.events["event"] == kind]


# What reads all cells once, at a time that is the device's own, rewrites those that are wrong, and tells how many.
COUNT_WRONG = (
    "schedule={kind='march_scrub', interval_s='100 d'}",
    "policy.diagnosis={read_only=true, refresh=false}",
    "policy.call={kind='every_n', faults=1000000000}",
)


def wrong_cells(result: Result) -> tuple[int, float]:
    """Return how many cells a read of all found wrong, and when (s)."""
    assert len(happened(result, "diagnosis")) == 1
    again = happened(result, "tried_again")
    return int(again["amount"].sum()), float(happened(result, "diagnosis")["time_ns"].iloc[0]) / 1e9


def levels(codes: tuple[np.ndarray, ...], encoding: Encoding) -> np.ndarray:
    """Return the share of cells at each level."""
    held = np.concatenate([encoding.levels(c).ravel() for c in codes])
    return np.bincount(held, minlength=encoding.top_level + 1) / len(held)


def test_without_any_nothing_happens(live: Live) -> None:
    result = live()
    zero = ["stuck_cells_mean", "expired_cells_mean", "cell_writes", "energy_j", "uplink_sent_bytes", "jobs"]
    assert (result.fleet[zero] == 0).all(axis=None)
    assert result.fleet["accuracy_mean"].nunique() == 1
    assert last(result, "in_spec_share") == 1
    assert wrong_cells(live(*COUNT_WRONG))[0] == 0
    assert result.rates["events"].sum() == 0


# -- endurance --

RELOADED = "workload.reloads_per_day={fc1=100, fc2=100, fc3=100}"
WRITES = 1 + 100 * 100


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        (("technology.endurance_scale_cycles=3e4",), weibull(WRITES, 3e4, 2)),
        (("technology.endurance_scale_cycles=3e4", "technology.endurance_shape=1"), weibull(WRITES, 3e4, 1)),
        (
            (
                "technology.endurance_distribution=lognormal",
                "technology.endurance_median_cycles=2e4",
                "technology.endurance_sigma_ln=0.7",
            ),
            lognormal(WRITES, 2e4, 0.7),
        ),
        # 100 ppm by 300 writes: (300 / scale)^2 = 1e-4
        (
            ("technology.endurance_tail_ppm=100", "technology.endurance_tail_cycles=300"),
            weibull(WRITES, 300 / math.sqrt(-math.log1p(-1e-4)), 2),
        ),
        (
            ("technology.endurance_scale_cycles=2e4", "technology.reload_wear_share=0.6"),
            weibull(1 + 0.6 * (WRITES - 1), 2e4, 2),
        ),
        # 4 pulses on average, of which 3 wear a tenth each
        (
            (
                "technology.endurance_scale_cycles=3e4",
                "technology.verify_pulses_mean=4",
                "technology.verify_pulse_wear_share=0.1",
            ),
            weibull(1.3 * WRITES, 3e4, 2),
        ),
    ],
    ids=["weibull", "shape 1", "lognormal", "tail", "reload wear", "pulse wear"],
)
def test_endurance(live: Live, settings: tuple[str, ...], share: float) -> None:
    result = live(RELOADED, *settings)
    agree_in_number(last(result, "stuck_cells_mean"), CELLS, share)
    assert last(result, "cell_writes") == 100 * 100 * CELLS
    assert last(result, "reloads") == 3 * 100 * 100
    for layer in result.layers.itertuples():
        agree_in_number(layer.stuck_cells_mean, LAYER_CELLS[layer.layers], share, most=0.05)
        assert (layer.operations_mean, layer.operations_max) == (WRITES, WRITES)
        assert layer.expected_stuck_mean == pytest.approx(LAYER_CELLS[layer.layers] * share, rel=1e-9)
    assert last(result, "expired_cells_mean") == 0


SHARED = ("workload.reloads_per_day={fc2=100, fc3=100}", "workload.banks={swapped=['fc2', 'fc3']}")


def test_shared_bank(live: Live) -> None:
    """Two layers that take turns: the cells of the smaller are written twice a turn."""
    result = live("technology.endurance_scale_cycles=3e4", *SHARED)
    layers = result.layers.set_index("layers")
    turns, both, rest = 100 * 100, LAYER_CELLS["fc3"], LAYER_CELLS["fc2"] - LAYER_CELLS["fc3"]
    assert layers["cells"].to_dict() == {"fc1": LAYER_CELLS["fc1"], "fc2+fc3": both, "fc2": rest}
    assert layers["operations_mean"].to_dict() == {"fc1": 1, "fc2+fc3": 1 + 2 * turns, "fc2": 1 + turns}
    for name, cells, writes in (("fc2+fc3", both, 1 + 2 * turns), ("fc2", rest, 1 + turns)):
        share = weibull(writes, 3e4, 2)
        agree_in_number(layers.loc[name, "stuck_cells_mean"], cells, share, most=0.03)
    assert last(result, "cell_writes") == turns * (LAYER_CELLS["fc2"] + LAYER_CELLS["fc3"])
    assert last(result, "reloads") == 2 * turns
    apart = live("technology.endurance_scale_cycles=3e4", SHARED[0])
    assert last(result, "energy_reload_j") == pytest.approx(last(apart, "energy_reload_j"), rel=1e-12)


# -- polarity: what stuck and expired cells read --

STUCK_AT_ONCE = ("technology.endurance_scale_cycles=6",)  # by the first programming


@pytest.mark.parametrize(
    ("settings", "polarity"),
    [
        (STUCK_AT_ONCE, "technology.wear_stuck_at_1_share={}"),
        (("technology.fabrication_rate=0.03",), "technology.fabrication_stuck_at_1_share={}"),
    ],
    ids=["wear", "fabrication"],
)
def test_polarity_of_stuck_cells(live: Live, codes, settings: tuple[str, ...], polarity: str) -> None:
    """A cell stuck at 1 is wrong where the backup has a 0, and the other way round."""
    zeros, ones = levels(codes, SLC)
    runs = {share: live(*COUNT_WRONG, *settings, polarity.format(share)) for share in (0.0, 0.8, 1.0)}
    stuck = {share: run.fleet["stuck_cells_mean"].iloc[0] for share, run in runs.items()}
    wrong = {share: wrong_cells(run)[0] for share, run in runs.items()}
    assert stuck[0.0] == stuck[0.8] == stuck[1.0]
    agree_in_number(stuck[0.0], CELLS, weibull(1, 6, 2) if settings is STUCK_AT_ONCE else 0.03)
    assert wrong[0.0] + wrong[1.0] == stuck[0.0]
    for share, count in wrong.items():
        agree_in_number(count, int(stuck[0.0]), share * zeros + (1 - share) * ones)


@pytest.mark.parametrize(
    ("settings", "low_resistance", "high_resistance"),
    [
        (STUCK_AT_ONCE, "technology.wear_stuck_at_1_share=1", "technology.wear_stuck_at_1_share=0"),
        (
            ("technology.fabrication_rate=0.01",),
            "technology.fabrication_stuck_at_1_share=1",
            "technology.fabrication_stuck_at_1_share=0",
        ),
        (
            ("technology.line_failures_per_year=300",),
            "technology.line_stuck_at_1_share=1",
            "technology.line_stuck_at_1_share=0",
        ),
        (
            ("technology.retention_median_s=1000 d",),
            "technology.retention_fails_to=lrs",
            "technology.retention_fails_to=hrs",
        ),
        (
            ("technology.disturb_median_pulses=2e7", "workload.inferences_per_hour=1000"),
            "technology.disturb_fails_to=lrs",
            "technology.disturb_fails_to=hrs",
        ),
        (
            ("technology.array=passive", "technology.half_select_median=1000"),
            "technology.half_select_fails_to=lrs",
            "technology.half_select_fails_to=hrs",
        ),
    ],
    ids=["wear", "fabrication", "lines", "retention", "reads", "half-selects"],
)
def test_direction(codes, settings: tuple[str, ...], low_resistance: str, high_resistance: str) -> None:
    """Towards low resistance bits are gained, towards high resistance lost: bit by bit, as a network has about as many ones as zeros."""
    changed = []
    for direction in (low_resistance, high_resistance):
        lived = scenario(*settings, direction)
        (device,) = simulate(lived, make_plans(lived), InProcessExecutor()).devices
        held = device.stretches[-1].snapshot.held_at(int(HORIZON_S * 1e9)).codes()
        pairs = [(c.view(np.uint16), h.view(np.uint16)) for c, h in zip(codes, held, strict=True)]
        gained, lost = (
            sum(int(np.bitwise_count(bits).sum()) for bits in of)
            for of in ([h & ~c for c, h in pairs], [c & ~h for c, h in pairs])
        )
        changed.append((gained > 1000, lost > 1000, gained * lost))
    assert changed == [(True, False, 0), (False, True, 0)]


def test_cells_stuck_between_two_levels(live: Live, codes) -> None:
    """At each of the two inner levels a quarter of the stuck cells, at the top 0.3, at the bottom 0.2."""
    result = live(
        *COUNT_WRONG,
        *STUCK_AT_ONCE,
        "technology.bits_per_cell=2",
        "technology.wear_stuck_at_1_share=0.6",
        "technology.wear_stuck_between_share=0.5",
    )
    held = levels(codes, Encoding(2, offset=True))
    right = held @ np.array([0.5 * 0.4, 0.25, 0.25, 0.5 * 0.6])
    agree_in_number(wrong_cells(result)[0], CELLS // 2, weibull(1, 6, 2) * (1 - right), most=0.02)


@pytest.mark.parametrize(("step", "to_bottom", "to_top"), [("state", 0, 3), ("level", -1, 1)])
def test_soft_faults_of_two_bit_cells(live: Live, codes, step: str, to_bottom: int, to_top: int) -> None:
    """Wrong is who was not there already, whether by a level or all the way; how much it harms differs."""
    held = levels(codes, Encoding(2, offset=True))
    for direction, already in (("hrs", held[0]), ("lrs", held[3])):
        settings = ("technology.retention_median_s=300 d", "technology.bits_per_cell=2")
        step_ = f"technology.soft_fault_step={step}"
        result = live(*COUNT_WRONG, *settings, step_, f"technology.retention_fails_to={direction}")
        wrong, time_s = wrong_cells(result)
        agree_in_number(wrong, CELLS // 2, lognormal(time_s, 300 * DAY_S, 1) * (1 - already))


# -- retention --

WEAK = ("technology.retention_median_s=400 d", "technology.retention_sigma_ln=1")


@pytest.mark.parametrize("cell_share", [0, 0.5, 1])
def test_retention(live: Live, cell_share: float) -> None:
    result = live(*WEAK, f"technology.retention_cell_share={cell_share}", "report_interval_s=50 d")
    for row in result.fleet.iloc[1:].itertuples():
        agree_in_number(row.expired_cells_mean, CELLS, lognormal(row.time_s, 400 * DAY_S, 1))
    assert last(result, "stuck_cells_mean") == 0


def test_direction_of_retention_loss(live: Live, codes) -> None:
    zeros, ones = levels(codes, SLC)
    settings = (*COUNT_WRONG, *WEAK, "report_interval_s=20 d")
    runs = {to: live(*settings, f"technology.retention_fails_to={to}") for to in ("hrs", "lrs")}
    (to_0, time_s), (to_1, again_s) = (wrong_cells(runs[to]) for to in ("hrs", "lrs"))
    assert time_s == pytest.approx(again_s, abs=1.0)  # rewriting takes as long as there are cells to rewrite
    share = lognormal(time_s, 400 * DAY_S, 1)
    agree_in_number(to_0 + to_1, CELLS, share)
    agree_in_number(to_0, CELLS, share * ones)
    agree_in_number(to_1, CELLS, share * zeros)
    before = {to: run.fleet[run.fleet["time_s"] < time_s] for to, run in runs.items()}
    assert before["hrs"]["expired_cells_mean"].equals(before["lrs"]["expired_cells_mean"])
    assert not before["hrs"]["accuracy_mean"].equals(before["lrs"]["accuracy_mean"])


@pytest.mark.parametrize("cell_share", [0, 0.5, 1])
def test_the_cells_own_share_of_retention(live: Live, cell_share: float) -> None:
    """Reloaded daily, looked at half a day later: the cells with limits of their own expire each day, the others by chance."""
    result = live(
        "workload.reloads_per_day={fc1=1, fc2=1, fc3=1}",
        "technology.retention_median_s=1 d",
        "technology.retention_sigma_ln=0.32",
        f"technology.retention_cell_share={cell_share}",
        "horizon_s=40.5 d",
        "report_interval_s=12 h",
    )
    fleet, share = result.fleet, lognormal(0.5, 1, 0.32)
    days = fleet["expired_cells_mean"].iloc[1::2]
    assert (fleet["expired_cells_mean"].iloc[2::2] == 0).all()
    agree_in_number(days.mean(), CELLS, share, 1 if cell_share else len(days))
    by_chance = (1 - cell_share) * CELLS * share * (1 - share)
    if cell_share == 1:
        assert days.nunique() == 1
    else:
        agree(days.var(), by_chance, by_chance * math.sqrt(2 / (len(days) - 1)), most=0.25)


# -- sites: how much time passes at the reference temperature --


def acceleration(temperature_c: np.ndarray | float) -> np.ndarray:
    return np.exp(1.5 / 8.617333262e-5 * (1 / 298.15 - 1 / (np.asarray(temperature_c) + 273.15)))


def cosines(time_s: np.ndarray) -> np.ndarray:
    days = time_s / DAY_S
    return 20 + 5 + 6 * np.cos(2 * np.pi * (days - 19) / 365) + 8 * np.cos(2 * np.pi * (days - 14 / 24))


def trace(time_s: np.ndarray) -> np.ndarray:
    """Two days up from 10 C to 40 C, one day down again."""
    hours = time_s / 3600 % 72
    return np.where(hours < 48, 10 + 30 * hours / 48, 40 - 30 * (hours - 48) / 24)


PROFILES = {
    "cosines": (
        (
            "site.mean_c=20",
            "site.self_heating_c=5",
            "site.season_amplitude_c=6",
            "site.hottest_day_of_year=20",
            "site.day_amplitude_c=8",
            "site.hottest_hour=14",
        ),
        cosines,
    ),
    "histogram": (
        ("site={temperatures_c=[0, 20, 35], shares=[0.5, 0.4, 0.1], self_heating_c=5}",),
        lambda time_s: np.select([time_s % DAY_S < 0.5 * DAY_S, time_s % DAY_S < 0.9 * DAY_S], [5, 25], 40),
    ),
    "trace": (("site={trace_csv='TRACE'}",), trace),
    # In the first ten days of February a spell of a day begins every 40 minutes on average: eleven days are hot.
    "heat spells": (
        (
            "site.spells_per_year=365",
            "site.spell_rise_c=15",
            "site.spell_duration_s=1 d",
            "site.spell_first_day_of_year=32",
            "site.spell_last_day_of_year=41",
        ),
        lambda time_s: np.where((time_s >= 31 * DAY_S) & (time_s < 42 * DAY_S), 40.0, 25.0),
    ),
}


@pytest.mark.parametrize("name", PROFILES)
def test_temperature(live: Live, tmp_path: Path, name: str) -> None:
    """The acceleration, not the temperature, is what counts on average."""
    settings, temperature_c = PROFILES[name]
    (tmp_path / "trace.csv").write_text("time_s,temperature_c\n0,10\n172800,40\n259200,10\n")
    settings = tuple(s.replace("TRACE", str(tmp_path / "trace.csv")) for s in settings)
    middles_s = np.arange(30, HORIZON_S, 60)
    equivalent_s = float(acceleration(temperature_c(middles_s)).mean()) * HORIZON_S
    result = live(*WEAK, *settings)
    # Half an hour, more or less, is missing at either end of these spells.
    edge_s = (
        2 * 10 / 365 * DAY_S * acceleration(40) * np.array([1, 1 / math.sqrt(2)])
        if "spells" in name
        else [0, 0]
    )
    equivalent_s -= edge_s[0]
    share = lognormal(equivalent_s, 400 * DAY_S, 1)
    edge = CELLS * (lognormal(equivalent_s + edge_s[1], 400 * DAY_S, 1) - share)
    assert abs(share - lognormal(HORIZON_S, 400 * DAY_S, 1)) > 0.02
    error = math.hypot(math.sqrt(CELLS * share * (1 - share)), edge)
    agree(last(result, "expired_cells_mean"), CELLS * share, error)


# -- spread from device to device --


def spreads(own: np.ndarray, sigma: float) -> None:
    """``own``: one draw a device that should be normal with mean 0."""
    agree(own.mean() + 1, 1, sigma / math.sqrt(len(own)), most=1)
    agree(own.std(ddof=1), sigma, sigma / math.sqrt(2 * (len(own) - 1)), most=0.12)


def test_spread_of_endurance(live: Live) -> None:
    """What a March test finds in each device says what its endurance is multiplied with."""
    result = live(
        "count=40",
        "technology.endurance_scale_cycles=40",
        "technology.endurance_spread_sigma_ln=0.3",
        "schedule={kind='march_scrub', interval_s='100 d'}",
    )
    stuck = happened(result, "diagnosis")["amount"].to_numpy()
    assert len(stuck) == 40
    factors = 1 / 40 / np.sqrt(-np.log1p(-stuck / CELLS))
    spreads(np.log(factors), 0.3)


@pytest.mark.parametrize(
    ("setting", "sigma"),
    [("technology.retention_spread_sigma_ln=0.3", 0.3), ("site.offset_sigma_c=3", 3.0)],
    ids=["retention", "temperature"],
)
def test_spread_of_retention_and_temperature(live: Live, codes, setting: str, sigma: float) -> None:
    """The share of cells that have expired says how much time has passed at the reference temperature, in medians."""
    median_s, sigma_ln = 180_000 * DAY_S, 3.0
    weak = (f"technology.retention_median_s={median_s} s", f"technology.retention_sigma_ln={sigma_ln}")
    result = live("count=40", *weak, *COUNT_WRONG, setting)
    found = happened(result, "diagnosis").set_index("device")
    found["wrong"] = happened(result, "tried_again").set_index("device")["amount"]
    assert len(found) == 40
    expired = found["wrong"] / CELLS / levels(codes, SLC)[1]
    medians = np.exp(sigma_ln * special.ndtri(expired)) / (found["time_ns"] / 1e9 / median_s)
    if setting.startswith("technology"):
        spreads(-np.log(medians), sigma)
    else:  # the acceleration, solved for the temperature
        spreads(1 / (1 / 298.15 - 8.617333262e-5 / 1.5 * np.log(medians)) - 298.15, sigma)


# -- defects --


@pytest.mark.parametrize("clustering", [None, 0.5])
def test_fabrication(live: Live, clustering: float | None) -> None:
    """Of a crossbar of n cells m = rate n are broken, with a variance of m (1 - rate), or with clustering m + m^2 / alpha."""
    rate, devices = 0.002, 60
    settings = [f"technology.fabrication_clustering={clustering}"] if clustering else []
    result = live(
        f"count={devices}",
        f"technology.fabrication_rate={rate}",
        "schedule={kind='march_scrub', interval_s='100 d'}",
        *settings,
    )
    sizes = np.array(
        [
            min(128, rows - row) * min(128, 16 * columns - column)
            for rows, columns in SHAPES.values()
            for row in range(0, rows, 128)
            for column in range(0, 16 * columns, 128)
        ]
    )
    assert sizes.sum() == CELLS
    means = rate * sizes
    variance = float((means + means**2 / clustering if clustering else means * (1 - rate)).sum())
    assert not (result.fleet["stuck_cells_mean"] - result.fleet["stuck_cells_mean"].iloc[0]).any()
    agree(result.fleet["stuck_cells_mean"].iloc[0], CELLS * rate, math.sqrt(variance / devices), most=0.03)
    found = happened(result, "diagnosis")
    assert len(found) == devices and set(found["detail"]) == {"0"}, "the factory test knew them"
    # Of a sum of 60 or so crossbars; a negative binomial one's kurtosis is 6 / alpha more than a normal one's.
    error = math.sqrt((2 + (6 / clustering / len(sizes) if clustering else 0)) / (devices - 1))
    agree(found["amount"].var(), variance, error * variance, most=0.3)
    assert result.summary["counts"]["jobs"] == 0


@pytest.mark.parametrize("word_share", [0.0, 0.5, 1.0])
def test_line_failures(live: Live, word_share: float) -> None:
    """Each line fails at the same rate as all others of its kind; the cells of a line fail together."""
    devices, failures = 2, 2000 * 100 / 365
    word = {name: rows * math.ceil(16 * columns / 128) for name, (rows, columns) in SHAPES.items()}
    bit = {name: 16 * columns * math.ceil(rows / 128) for name, (rows, columns) in SHAPES.items()}
    share = -math.expm1(-failures * (word_share / sum(word.values()) + (1 - word_share) / sum(bit.values())))
    result = live(
        f"count={devices}",
        "technology.line_failures_per_year=2000",
        f"technology.line_word_share={word_share}",
    )
    # The variance is at most that of a compound Poisson number of lines of 128 cells that had none in common.
    agree(
        last(result, "stuck_cells_mean"),
        CELLS * share,
        128 * math.sqrt(failures / devices),
        most=0.04,
    )
    assert result.fleet["stuck_cells_mean"].iloc[0] == 0


# -- disturb --

ONES = {
    "fc1": 0.0604,
    "fc2": 0.164,
    "fc3": 0.214,
}  # share of the input bits that are one, measured for this network


@pytest.mark.parametrize(
    ("per_hour", "settings", "decades", "sigma"),
    [
        (1000, (), 0, 1),
        (3000, (), 0, 1),
        (1000, ("technology.read_voltage_v=0.23",), 0.5, 1),
        (1000, ("technology.read_voltage_sigma_v=0.03",), 0, math.hypot(1, 0.5 * math.log(10))),
    ],
    ids=["reads", "three times the reads", "half a decade of voltage", "spread of the voltage"],
)
def test_read_disturb(live: Live, per_hour: int, settings, decades: float, sigma: float) -> None:
    result = live(
        f"workload.inferences_per_hour={per_hour}",
        "technology.disturb_median_pulses=2e7",
        "technology.disturb_fails_to=lrs",
        *settings,
    )
    inferences = per_hour * 24 * 100
    assert last(result, "inferences") == inferences
    for layer in result.layers.itertuples():
        share = lognormal(inferences * 16 * ONES[layer.layers], 2e7 / 10**decades, sigma)
        most = 0.01 if layer.layers == "fc1" else 0.05
        agree_in_number(layer.expired_cells_mean, LAYER_CELLS[layer.layers], share, most=most)


def test_half_select(live: Live, codes) -> None:
    """Programming cell after cell: whoever is written first is half-selected by all that follow on its lines, two pulses each."""
    passive = ("technology.array=passive", "technology.verify_pulses_mean=2")
    result = live(*passive, "technology.half_select_median=500")
    expected = variance = 0.0
    for rows, columns in SHAPES.values():
        row, column = np.indices((rows, 16 * columns))
        below = np.minimum(127, rows - 1 - row // 128 * 128) - row % 128
        right = np.minimum(127, 16 * columns - 1 - column // 128 * 128) - column % 128
        counts, cells = np.unique(below + right, return_counts=True)
        shares = np.array([lognormal(2 * count, 500, 1) if count else 0.0 for count in counts])
        expected += float(shares @ cells)
        variance += float((shares * (1 - shares)) @ cells)
    for row in result.fleet.itertuples():
        agree(row.expired_cells_mean, expected, math.sqrt(variance))
    assert last(live(*passive), "expired_cells_mean") == 0
    with pytest.raises(lifesim.UserError, match="half_select_median.*access transistor"):
        scenario("technology.half_select_median=500")


# -- drift of levels --

MLC = ("technology.bits_per_cell=2",)
CONDUCTANCE = (
    *MLC,
    "technology.drift=conductance",
    "technology.drift_sd_us=0.5",
    "technology.drift_sd_1s_us=2",
)


def test_drift_of_conductance(live: Live, codes) -> None:
    """A cell that has moved by more than half a spacing (30 uS) is read as its neighbour, if it has one there."""
    wrong, time_s = wrong_cells(live(*COUNT_WRONG, *CONDUCTANCE))
    beyond = 0.5 * math.erfc(15 / (2 + 0.5 * math.log(time_s)) / math.sqrt(2))
    held = levels(codes, Encoding(2, offset=True))
    agree_in_number(wrong, CELLS // 2, beyond * (held[0] + 2 * held[1] + 2 * held[2] + held[3]))


def test_drift_moves_accuracy_alone(live: Live) -> None:
    mean = "technology.drift_mean_us=-0.5"
    runs = {
        "none": live(*MLC),
        "spread": live(*CONDUCTANCE),
        "both, with references": live(*CONDUCTANCE, mean),
        "both": live(*CONDUCTANCE, mean, "technology.reference_column=false"),
    }
    accuracy = {name: last(run, "accuracy_mean") for name, run in runs.items()}
    assert accuracy["none"] > accuracy["spread"] == accuracy["both, with references"] > accuracy["both"]
    for run in runs.values():
        assert not run.fleet[["stuck_cells_mean", "expired_cells_mean"]].any(axis=None)
        assert run.fleet["accuracy_mean"].iloc[0] >= last(run, "accuracy_mean")


def test_drift_of_weights(live: Live) -> None:
    """RRAMedy's Eq. 8: the more, the worse; no cell is taken for another."""
    runs = [
        live(*COUNT_WRONG, *MLC, "technology.drift=weight", f"technology.drift_theta={theta}")
        for theta in (0.0, 0.1, 0.3)
    ]
    assert [wrong_cells(run)[0] for run in runs] == [0, 0, 0]
    none, some, much = (last(run, "accuracy_mean") for run in runs)
    assert none > some > much
    for run in runs:
        assert not run.fleet[["stuck_cells_mean", "expired_cells_mean"]].any(axis=None)


# -- reading --

TESTED = "schedule={kind='periodic', interval_s='5.3 d'}"
ALARMS = ["alarms_true", "alarms_early", "alarms_false"]


def test_temperature_coefficient(live: Live) -> None:
    """Warmth alone trips the test, and no fault does; accuracy is stated without it."""
    day = ("site.day_amplitude_c=20", TESTED)
    warm = live(
        *day, "technology.temperature_coefficient_per_k=0.01", "technology.reference_tracking_residue=1"
    )
    tracked = live(
        *day, "technology.temperature_coefficient_per_k=0.01", "technology.reference_tracking_residue=0"
    )
    assert last(warm, "alarms_false") > 0
    assert last(warm, "alarms_true") == last(warm, "alarms_early") == last(warm, "stuck_cells_mean") == 0
    assert not tracked.fleet[ALARMS].any(axis=None)
    assert warm.fleet["accuracy_mean"].equals(live().fleet["accuracy_mean"])


@pytest.mark.parametrize(
    ("kind", "some", "much"),
    [("weight", 0.01, 0.02), ("cell_analog", 0.003, 0.006), ("cell_adc", 5e-5, 1e-4)],
)
def test_read_noise(live: Live, kind: str, some: float, much: float) -> None:
    """The more noise, the more alarms, though nothing is wrong. How many depends on how close the pictures of this network are to a border."""
    runs = [
        live(
            TESTED,
            f"technology.read_noise_kind={kind}",
            f"technology.read_noise={sigma}",
            "technology.read_noise_correlation=0",
            "aet.rereads=0",
            "aet.baseline_reads=60",
            "count=10",
        )
        for sigma in (0, some, much)
    ]
    alarms = [last(run, "alarms_false") + last(run, "alarms_early") for run in runs]
    assert alarms[0] == 0 and alarms[0] < alarms[1] < alarms[2]
    # The baseline has some noise, too: a read without any may deviate from it, of a few devices at all their visits.
    assert last(runs[1], "alarms_early") < last(runs[1], "alarms_false")
    for run in runs:
        assert last(run, "alarms_true") == 0
        assert run.fleet["accuracy_mean"].tolist() == pytest.approx(
            live().fleet["accuracy_mean"].tolist(), rel=1e-12
        )


# -- writing --


def test_pulses_of_write_verify(live: Live) -> None:
    """Geometric, 8 on average; a pulse takes 20 ns and its share of the row's read, 100 ns / 128."""
    result = live("technology.verify_pulses_mean=8", "schedule={kind='blind_refresh', interval_s='10 d'}")
    refreshes, pulses = last(result, "refreshes"), last(result, "rewrite_pulses")
    assert refreshes == 10 and last(result, "cell_writes") == refreshes * CELLS
    agree(pulses / refreshes / CELLS, 8, math.sqrt(8 * 7 / refreshes / CELLS))
    assert last(result, "refreshing_s") == pytest.approx(pulses * (20 + 100 / 128) * 1e-9, abs=1e-8)


GIVES_UP = ("technology.verify_pulses_mean=8", "technology.verify_pulses_most=30")
UNWRITTEN = (7 / 8) ** 30


def test_cells_given_up(live: Live, codes) -> None:
    """They read 0: wrong where there should be a 1, and neither stuck nor expired."""
    result = live(*COUNT_WRONG, *GIVES_UP)
    agree_in_number(wrong_cells(result)[0], CELLS, UNWRITTEN * levels(codes, SLC)[1], most=0.02)
    assert not result.fleet[["stuck_cells_mean", "expired_cells_mean"]].any(axis=None)
    pulses = live(*GIVES_UP, "schedule={kind='blind_refresh', interval_s='50 d'}")
    assert last(pulses, "refreshes") == 2
    agree(last(pulses, "rewrite_pulses") / 2 / CELLS, 8 * (1 - UNWRITTEN), math.sqrt(56 / 2 / CELLS))


NO_CALL = "policy.call={kind='every_n', faults=1000000000}"
MARCHED = ("schedule={kind='march_scrub', interval_s='100 d'}", NO_CALL)


@pytest.mark.parametrize("retries", [0, 1])
def test_retries_let_off_cells_that_were_not_written(live: Live, retries: int) -> None:
    """March C- writes two ones that it then reads: p = 1 - (1 - q)^2 of the cells fail once, p^2 of them twice."""
    result = live(*MARCHED, *GIVES_UP, f"policy.diagnosis={{retries={retries}}}")
    once = 1 - (1 - UNWRITTEN) ** 2
    (found,) = happened(result, "diagnosis")["amount"]
    agree_in_number(found, CELLS, once ** (retries + 1), most=0.04)
    if retries:
        agree_in_number(last(result, "cells_tried_again"), CELLS, once)
    assert last(result, "stuck_cells_mean") == 0


@pytest.mark.parametrize(
    ("settings", "writes", "reads"),
    [
        (("policy.diagnosis={test='march_c_minus'}",), 5, 5),
        (("policy.diagnosis={test='march_x'}",), 3, 3),
        (("policy.diagnosis={test='mats_plus'}",), 3, 2),
        (("policy.diagnosis={levels='all'}", "technology.bits_per_cell=2"), 10, 10),
    ],
    ids=["march_c_minus", "march_x", "mats_plus", "all levels"],
)
def test_march_tests(live: Live, settings: tuple[str, ...], writes: int, reads: int) -> None:
    """They and the refresh that follows wear; writes take 20 ns and 0.6 pJ, reads a 128th of 100 ns and 230 pJ."""
    result = live(*MARCHED, *settings)
    cells = CELLS // 2 if len(settings) > 1 else CELLS
    assert last(result, "diagnoses") == 1
    assert last(result, "cell_writes") == cells * (writes + 1)
    assert last(result, "diagnosing_s") == pytest.approx(
        cells * (writes * 20 + reads * 100 / 128) * 1e-9, abs=1e-8
    )
    assert last(result, "energy_diagnosis_j") == pytest.approx(
        cells * (writes * 0.6 + reads * 230 / 128) * 1e-12
    )


def test_read_only_diagnosis(live: Live) -> None:
    """Only what is wrong is written: with 8 pulses, each followed by a read of its own."""
    result = live(*COUNT_WRONG, *WEAK, "technology.verify_pulses_mean=8")
    wrong, _ = wrong_cells(result)
    assert wrong > 1000 and last(result, "cell_writes") == wrong
    assert last(result, "diagnosing_s") == pytest.approx(
        (CELLS / 128 * 100 + wrong * 8 * 120) * 1e-9, abs=1e-8
    )
    assert last(result, "energy_diagnosis_j") == pytest.approx(
        (CELLS / 128 * 230 + wrong * 8 * 230.6) * 1e-12
    )


def test_power_cuts(live: Live) -> None:
    """A writing of length L, begun again after each cut of a Poisson process of rate l, is cut e^(l L) - 1 times and takes (e^(l L) - 1) / l."""
    result = live(
        "count=4",
        "site.power_cuts_per_year=1e9",
        "schedule={kind='blind_refresh', interval_s='12 h'}",
    )
    rate, refreshes = 1e9 / YEAR_S, last(result, "refreshes")
    uncut = math.exp(-rate * CELLS * (20 + 100 / 128) * 1e-9)
    cuts = 1 / uncut - 1
    error = math.sqrt((1 - uncut) / uncut**2 / refreshes)
    assert refreshes == 800
    agree(last(result, "rewrites_cut") / refreshes, cuts, error, most=0.06)
    # The time's own coefficient of variation is smaller than that of the number of cuts.
    agree(last(result, "refreshing_s") / refreshes, cuts / rate, error / rate, most=0.06)


# -- redeployment --

# Reloads wear the cells, so that the March test at the device's own time finds some new ones.
WORN = ("workload.reloads_per_day={fc1=50, fc2=50, fc3=50}", "technology.endurance_scale_cycles=3e4")
CALLS = (*WORN, "schedule={kind='march_scrub', interval_s='100 d'}")


@pytest.mark.parametrize("redeploy", ["all", "changed"])
def test_redeployment(live: Live, redeploy: str) -> None:
    """All cells are written, or those whose bits differ between the models before and after."""
    settings = (
        "technology.line_failures_per_year=100",
        "schedule={kind='march_scrub', interval_s='100 d'}",
        f"policy.redeploy={redeploy}",
        "cloud.retraining.steps=5",
    )
    result = live(*settings)
    plans = make_plans(scenario(*settings))
    stretches = simulate(scenario(*settings), plans, InProcessExecutor()).devices[0].stretches
    before, after = (stretch.snapshot.model.codes for stretch in (stretches[0], stretches[-1]))
    bits = sum(
        int(np.bitwise_count(a.view(np.uint16) ^ b.view(np.uint16)).sum())
        for a, b in zip(before, after, strict=True)
    )
    assert last(result, "reprogrammings") == 1 and bits > 100
    written = CELLS if redeploy == "all" else bits
    assert last(result, "cell_writes") == 5 * CELLS + CELLS + written
    pulses = "rewrite_pulses" if redeploy == "all" else "single_cell_pulses"
    assert last(result, pulses) == written + (CELLS if redeploy == "all" else 0)
    each_ns = 20 + 100 / 128 if redeploy == "all" else 120
    assert last(result, "reprogramming_s") == pytest.approx(written * each_ns * 1e-9, abs=1e-8)


# -- the link --


def maps(result: Result) -> pd.DataFrame:
    """Return the maps that went up undamaged: bytes, bytes on the air, and how long it took (s)."""
    sent, received = happened(result, "map_sent"), happened(result, "map_received")
    sent = sent.set_index("device")["time_ns"]
    received = received.set_index("device")
    took_s = (received["time_ns"] - sent.loc[received.index]) / 1e9
    return pd.DataFrame(
        {"bytes": received["amount"], "on_air": received["detail"].astype(str).astype(int), "took_s": took_s}
    )


NOBODY_ANSWERS = "cloud.service={kind='fixed', time_s='1000 y'}"


def test_rate_and_latency(live: Live) -> None:
    for up in maps(live(*CALLS, NOBODY_ANSWERS, "link.latency_s=7")).itertuples():
        assert up.bytes == up.on_air > 1000
        assert up.took_s == pytest.approx(up.bytes * 8 / 1000 + 7, abs=2e-9)


def test_frames(live: Live) -> None:
    frames = ("link.frame_bytes=51", "link.frame_overhead_bytes=13")
    for up in maps(live(*CALLS, NOBODY_ANSWERS, *frames)).itertuples():
        assert up.on_air == up.bytes + 13 * math.ceil(up.bytes / 51)
        assert up.took_s == pytest.approx(up.on_air * 8 / 1000, abs=2e-9)


@pytest.mark.parametrize("loss", [0.1, 0.5])
def test_lost_frames(live: Live, loss: float) -> None:
    """Each frame is sent a geometric number of times."""
    result = live(*CALLS, NOBODY_ANSWERS, "link.frame_bytes=4", f"link.frame_loss={loss}", "count=2")
    up = maps(result)
    frames = np.ceil(up["bytes"] / 4).sum()
    error = math.sqrt(loss) / (1 - loss) / math.sqrt(frames)
    agree(last(result, "uplink_air_bytes") / last(result, "uplink_sent_bytes"), 1 / (1 - loss), error)
    assert last(result, "uplink_received_bytes") == last(result, "uplink_sent_bytes")


def test_duty_cycle(live: Live) -> None:
    """After a frame of duration t silence for 9 t, but for the last."""
    duty = ("link.frame_bytes=51", "link.uplink_duty_cycle=0.1")
    for up in maps(live(*CALLS, NOBODY_ANSWERS, *duty)).itertuples():
        in_the_last = (up.bytes - 1) % 51 + 1
        assert up.took_s == pytest.approx(((up.bytes - in_the_last) * 10 + in_the_last) * 8 / 1000, abs=2e-9)


def test_outages_of_the_link(live: Live) -> None:
    """A transfer of length T is paused by about l T outages of mean m: it takes T (1 + l m), with a variance of 2 l T m^2."""
    per_s, mean_s = 1e5 / YEAR_S, 300.0
    slow = ("link.uplink_bps=1", "link.outages_per_year=1e5", f"link.outage_mean_s={mean_s} s", "count=3")
    up = maps(live(*CALLS, NOBODY_ANSWERS, *slow))
    alone_s = up["bytes"].sum() * 8.0
    assert len(up) > 0
    agree(
        up["took_s"].sum(),
        alone_s * (1 + per_s * mean_s),
        math.sqrt(2 * per_s * alone_s) * mean_s,
        most=0.03,
    )


def test_truncation(live: Live) -> None:
    """Messages are damaged with this probability, each time that they are sent."""
    result = live(
        *WORN,
        NOBODY_ANSWERS,
        "schedule={kind='march_scrub', interval_s='10 d'}",
        "count=5",
        "link.truncation=0.9",
        "link.uplink_bps=1e9",
        "link.downlink_bps=1e9",
    )
    attempts = last(result, "uplink_messages")
    agree(last(result, "messages_damaged") / attempts, 0.9, math.sqrt(0.09 / attempts), most=0.02)
    assert last(result, "uplink_sent_bytes") == last(result, "uplink_received_bytes") + last(
        result, "uplink_lost_bytes"
    )


def test_backhaul(live: Live) -> None:
    """Two devices share a line evenly while both send, and have it alone otherwise."""
    line = (
        "link.uplink_bps=1e6",
        "backhaul.line={uplink_bps=1, downlink_bps=1e6}",
        "backhaul=line",
        "count=2",
    )
    result = live(*CALLS, NOBODY_ANSWERS, *line, "seed=9")
    sent = happened(result, "map_sent").sort_values("time_ns")
    (first_s, second_s), (first, second) = sent["time_ns"] / 1e9, sent["amount"] * 8
    ahead = second_s - first_s
    assert ahead < first and first_s + first + second < HORIZON_S, "they overlap and both arrive"
    # What is left when the second begins goes at half the pace, until one of the two is through.
    left = first - ahead
    shared = 2 * min(left, second)
    ends_s = {
        True: (second_s + shared, first_s + first + second),
        False: (first_s + first + second, second_s + shared),
    }
    received = happened(result, "map_received").set_index("device")["time_ns"] / 1e9
    for device, end_s in zip(sent["device"], ends_s[bool(left <= second)], strict=True):
        assert received[device] == pytest.approx(end_s, abs=1e-3)


# -- the cloud --


def test_queue_and_work(live: Live) -> None:
    """One worker, first come first served: a job begins when it comes or when the one before it ends (Lindley)."""
    result = live(
        *CALLS, "count=4", "cloud.service={kind='work', step_time_s='10 d'}", "cloud.retraining.steps=2"
    )
    came = happened(result, "job").sort_values("time_ns")
    began = happened(result, "retraining_start").sort_values("time_ns")
    free_ns, starts_ns = 0, []
    for time_ns in came["time_ns"]:
        starts_ns.append(max(time_ns, free_ns))
        free_ns = starts_ns[-1] + int(20 * DAY_S * 1e9)
    horizon_ns = int(HORIZON_S * 1e9)
    assert began["time_ns"].tolist() == [ns for ns in starts_ns if ns < horizon_ns]
    assert any(waited > 0 for waited in began["amount"])
    ended = happened(result, "retraining_end")
    assert set(ended["amount"]) == {int(20 * DAY_S * 1e9)}
    assert len(ended) == sum(ns + 20 * DAY_S * 1e9 <= horizon_ns for ns in starts_ns)


def test_expiry(live: Live) -> None:
    """With a worker that is busy for good, all but the first job are given up after exactly the time allowed."""
    result = live(*CALLS, NOBODY_ANSWERS, "count=4", "cloud.expires_after_s=10 d")
    jobs = happened(result, "job").sort_values("time_ns")["time_ns"]
    allowed_ns = int(10 * DAY_S * 1e9)
    expired = happened(result, "job_expired")
    assert sorted(expired["time_ns"]) == [
        ns + allowed_ns for ns in jobs[1:] if ns + allowed_ns < HORIZON_S * 1e9
    ]
    assert len(expired) > 0 and set(expired["amount"]) == {allowed_ns}
    assert last(result, "jobs_expired") == len(expired)


def test_outages_of_the_cloud(live: Live) -> None:
    per_s, mean_s, work_s = 1e5 / YEAR_S, 600.0, 10 * DAY_S
    down = ("cloud.outages_per_year=1e5", f"cloud.outage_mean_s={mean_s} s", "cloud.workers=3", "count=3")
    result = live(*CALLS, *down, "cloud.service={kind='fixed', time_s='10 d'}")
    began = happened(result, "retraining_start").set_index("device")["time_ns"]
    ended = happened(result, "retraining_end").set_index("device")["time_ns"]
    took_s = (ended - began.loc[ended.index]) / 1e9
    error = math.sqrt(2 * per_s * work_s / len(took_s)) * mean_s
    agree(took_s.mean(), work_s * (1 + per_s * mean_s), error, most=0.03)


# -- policies --


def test_offline_while_waiting(live: Live) -> None:
    """From the end of the refresh until the redeployment is there: up, latency, service, down, latency."""
    result = live(
        *CALLS,
        "policy.while_waiting=offline",
        "cloud.service={kind='fixed', time_s='1 d'}",
        "link.latency_s=60",
    )
    (up,), (down,) = (happened(result, kind)["amount"] for kind in ("map_sent", "redeployment_sent"))
    assert last(result, "offline_s") == pytest.approx((up + down) * 8 / 1000 + 120 + DAY_S, abs=1e-8)
    assert last(live(*CALLS), "offline_s") == 0


def test_calling_every_n_faults(live: Live) -> None:
    """Counted again from what the diagnoses found."""
    n = 2500
    result = live(
        "technology.line_failures_per_year=200",
        "schedule={kind='march_scrub', interval_s='5 d'}",
        f"policy.call={{kind='every_n', faults={n}}}",
    )
    jobs = solved = 0
    for known in happened(result, "diagnosis")["amount"]:
        if known - solved >= n:
            jobs, solved = jobs + 1, known
    assert last(result, "jobs") == last(result, "reprogrammings") == jobs
    assert 1 < jobs <= happened(result, "diagnosis")["amount"].iloc[-1] // n


def test_debounced_calls(live: Live) -> None:
    """A map goes up when nothing new has been found for the time set."""
    quiet_ns = int(9 * DAY_S * 1e9)
    result = live(
        "technology.line_failures_per_year=40",
        "schedule={kind='march_scrub', interval_s='2 d'}",
        "policy.call={kind='debounced', quiet_s='9 d'}",
    )
    found, refreshed = happened(result, "diagnosis"), happened(result, "refresh")["time_ns"].to_numpy()
    new_ns = refreshed[(found["detail"].astype(str).astype(int) > 0).to_numpy()].tolist()
    due_ns = [
        ns + quiet_ns
        for ns, after in itertools.zip_longest(new_ns, new_ns[1:])
        if after is None or after > ns + quiet_ns
    ]
    assert happened(result, "map_sent")["time_ns"].tolist() == [ns for ns in due_ns if ns < HORIZON_S * 1e9]
    assert 0 < last(result, "jobs") < len(new_ns)


def test_retirement_and_replacement(live: Live) -> None:
    result = live(
        "workload.reloads_per_day={fc1=100, fc2=100, fc3=100}",
        "technology.endurance_scale_cycles=5e3",
        "schedule={kind='march_scrub', interval_s='15 d'}",
        "spec.tolerance=0.01",
        "spec.resolution_s=100 d",
        "policy.retire_after=1",
        "policy.replace_after_s=5 d",
    )
    retired, replaced = (
        happened(result, kind)["time_ns"].to_numpy() for kind in ("retirement", "replacement")
    )
    wait_ns, horizon_ns = int(5 * DAY_S * 1e9), int(HORIZON_S * 1e9)
    assert len(retired) > 1
    assert replaced.tolist() == [ns + wait_ns for ns in retired if ns + wait_ns < horizon_ns]
    assert last(result, "retired_s") == np.minimum(wait_ns, horizon_ns - retired).sum() / 1e9
    (device,) = result.devices.itertuples()
    assert device.end_of_life_s == retired[0] / 1e9
    rate = result.rates.set_index("failure").loc["retirement"]
    assert (rate["events"], rate["device_time_h"]) == (1, pytest.approx(retired[0] / 3.6e12))
    assert rate["rate_fit"] == pytest.approx(1e9 / (retired[0] / 3.6e12))


def test_commissioning(live: Live) -> None:
    """Uniform over the time given; a device visits from its own start on."""
    result = live("count=40", "commissioning_s=80 d", "schedule={kind='blind_refresh', interval_s='10 d'}")
    starts_s = result.devices["commissioned_s"]
    assert result.devices["uncommissioned_s"].equals(starts_s)
    agree(starts_s.mean(), 40 * DAY_S, 80 * DAY_S / math.sqrt(12 * 40), most=0.1)
    assert starts_s.between(0, 80 * DAY_S).all()
    visits_ns = happened(result, "refresh").groupby("device")["time_ns"]
    for device, start_s in zip(result.devices["device"], starts_s, strict=True):
        visits = visits_ns.get_group(device) / 1e9
        assert visits.min() >= start_s and len(visits) in {
            math.floor((HORIZON_S - start_s) / (10 * DAY_S)) + i for i in (0, 1)
        }


# -- what it costs --

TEST_J = 16 * 52_544 * 16 / 1024 * 230e-12  # a read of 16 pictures: MACs x input bits / weights in a crossbar
PULSE_J = 0.6e-12 + 230e-12 / 128


@pytest.mark.parametrize(
    ("settings", "cause", "joules"),
    [
        ((TESTED,), "test", lambda r: last(r, "tests") * TEST_J),
        ((TESTED,), "baseline", lambda r: 4 * TEST_J),
        (
            ("schedule={kind='readback', interval_s='5 d'}",),
            "test",
            lambda r: last(r, "tests") * CELLS / 128 * 230e-12,
        ),
        (("schedule={kind='blind_refresh', interval_s='5 d'}",), "rewrite", lambda r: 20 * CELLS * PULSE_J),
        ((RELOADED, "technology.verify_pulses_mean=8"), "reload", lambda r: 1e4 * CELLS * 8 * PULSE_J),
        (("workload.inferences_per_hour=10",), "inference", lambda r: 24_000 * TEST_J / 16),
        (
            (*CALLS, NOBODY_ANSWERS, "link.uplink_j_per_byte=2e-6", "link.wakeup_j=0.5"),
            "radio",
            lambda r: last(r, "uplink_sent_bytes") * 2e-6 + 0.5,
        ),
    ],
    ids=["test", "baseline", "readback", "rewrite", "reload", "inference", "radio"],
)
def test_energy(live: Live, settings: tuple[str, ...], cause: str, joules: Callable[[Result], float]) -> None:
    result = live(*settings)
    assert last(result, f"energy_{cause}_j") == pytest.approx(joules(result), rel=1e-9)
    assert last(result, f"energy_{cause}_j") > 0


def test_wrong_inferences(live: Live) -> None:
    """The integral of 1 - accuracy, which is linear between the reports, over the inferences."""
    weak = (
        "technology.retention_median_s=200 d",
        "workload.inferences_per_hour=1000",
        "report_interval_s=10 d",
    )
    result = live(*weak)
    accuracy = result.fleet["accuracy_mean"].to_numpy()
    middle = (accuracy[1:] + accuracy[:-1]) / 2
    asked = 1000 * 240
    wrong, extra = (
        result.fleet[name].to_numpy()[1:] for name in ("wrong_inferences_expected", "extra_wrong_inferences")
    )
    assert accuracy[-1] < accuracy[0] - 0.02
    np.testing.assert_allclose(wrong, asked * (1 - middle), rtol=1e-9)
    np.testing.assert_allclose(extra, asked * (accuracy[0] - middle), rtol=1e-9, atol=1e-6)
