"""Regions: each is what it would be alone, and together they are what one fleet of all their devices would be, exactly."""

from __future__ import annotations

import csv
import io
import itertools
import math
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifesim.errors import LifesimError, UserError
from lifesim.experiment import schema, tables
from lifesim.experiment.executors import InProcessExecutor
from lifesim.experiment.lives import Lives, live
from lifesim.experiment.merged import merged_summary, merged_tables
from lifesim.experiment.regions import RegionResult, region_of, results_in_order, simulate_region
from lifesim.experiment.results import Result
from lifesim.experiment.run import run_to_directory
from lifesim.experiment.summary import summarise
from lifesim.experiment.totals import FleetTotals, percentile, totals_of
from lifesim.fleet.outlook import outlook
from lifesim.scenario.load import load_scenario
from lifesim.scenario.models import Regions, Scenario

DAY_S = 86_400.0
FLEET = Path(__file__).with_name("fleet.toml")


@pytest.fixture(scope="module")
def three(scenario: Scenario) -> Scenario:
    """Three regions of two worn devices that are retrained, and two that drift."""
    kept = {name: scenario.group[name] for name in ("harsh", "refreshed")}
    return scenario.model_copy(
        update={
            "group": kept,
            "horizon_s": 300 * DAY_S,
            "report_interval_s": 100 * DAY_S,
            "regions": Regions(count=3),
        }
    )


@pytest.fixture(scope="module")
def alone(three: Scenario) -> list[Lives]:
    return [live(region_of(three, n), InProcessExecutor(), among_others=True) for n in range(3)]


@pytest.fixture(scope="module")
def totals(alone: list[Lives]) -> list[FleetTotals]:
    return [totals_of(lives) for lives in alone]


@pytest.fixture(scope="module")
def directory(three: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do not write to it."""
    directory = tmp_path_factory.mktemp("regions") / "three"
    run_to_directory(three, directory, workers=2)
    return directory


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def same_numbers(one: tables.Table, other: tables.Table) -> None:
    """Whole numbers and names are equal, floats to the last digits: they have been added in another order."""
    one, other = (rows(tables.csv_bytes(table)) for table in (one, other))
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for column in a:
            if a[column] != b[column]:
                assert float(a[column]) == pytest.approx(float(b[column]), rel=1e-12), column
                assert "." in a[column], column


def test_regions_together_are_one_fleet_of_all_their_devices(
    three: Scenario, alone: list[Lives], totals: list[FleetTotals]
) -> None:
    """The oracle pools the ledgers of all devices, and makes the tables of one fleet of them."""
    plans, edges_ns = alone[0].fleet.plans, alone[0].edges_ns
    pooled = [a for lives in alone for a in lives.accounts]
    horizon_ns = alone[0].fleet.horizon_ns
    merged = merged_tables(totals[0] + totals[1] + totals[2])
    by_group = sorted(pooled, key=lambda a: list(plans).index(a.record.group))
    same_numbers(merged["fleet.csv"], tables.fleet_table(pooled, plans, edges_ns))
    same_numbers(merged["groups.csv"], tables.groups_table(pooled, plans, edges_ns))
    same_numbers(merged["survival.csv"], tables.survival_table(by_group, horizon_ns))
    same_numbers(merged["rates.csv"], tables.rates_table(by_group, horizon_ns))
    same_numbers(merged["layers.csv"], tables.layers_table(by_group, plans))
    for column in ("accuracy_p05", "accuracy_min", "in_spec_devices", *schema.COUNTS):
        assert merged["fleet.csv"][column] == tables.fleet_table(pooled, plans, edges_ns)[column], column


def test_their_summary_is_that_of_all_devices(
    three: Scenario, alone: list[Lives], totals: list[FleetTotals]
) -> None:
    pooled = [a for lives in alone for a in lives.accounts]
    clouds = [lives.fleet.cloud for lives in alone]
    cloud = replace(
        clouds[0],
        **{name: sum(getattr(c, name) for c in clouds) for name in ("submitted", "started", "waiting_ns")},
    )
    fleet = replace(
        alone[0].fleet, cloud=cloud, cloud_busy_ns=sum(lives.fleet.cloud_busy_ns for lives in alone)
    )
    expected = outlook(three)
    oracle = summarise(three, fleet, pooled, expected)
    for group in oracle["groups"].values():
        group["devices"] *= 3  # the plans are of one region

    def compare(one: object, other: object) -> None:
        if isinstance(one, dict):
            assert one.keys() == other.keys()
            for key in one:
                compare(one[key], other[key])
        else:
            assert one == (pytest.approx(other, rel=1e-12) if isinstance(other, float) else other)

    compare(merged_summary(three, totals[0] + totals[1] + totals[2], expected), oracle)
    assert oracle["counts"]["retrainings"] > 3


def test_the_sum_is_exact_whatever_the_order(totals: list[FleetTotals]) -> None:
    texts = {sum(order[1:], order[0]).encode() for order in itertools.permutations(totals)}
    assert len(texts) == 1
    a, b, c = totals
    assert (a + (b + c)).encode() == ((a + b) + c).encode()
    assert a.encode() != b.encode()


def test_totals_survive_being_written(totals: list[FleetTotals]) -> None:
    for each in totals:
        assert FleetTotals.decode(each.encode()) == each


@pytest.mark.parametrize("text", ["", "{}", "[1", '{"@":["os",1]}', '{"@":["FleetTotals",1]}', "3"])
def test_what_is_no_totals_is_refused(text: str) -> None:
    with pytest.raises(LifesimError, match="no totals"):
        FleetTotals.decode(text)


def test_other_scenarios_do_not_add_up(totals: list[FleetTotals]) -> None:
    other = FleetTotals(totals[0].edges_ns[:-1], 1, totals[0].groups, totals[0].cloud)
    with pytest.raises(ValueError, match="different scenarios"):
        totals[0] + other


def test_a_region_is_what_it_is_alone(three: Scenario, directory: Path, tmp_path: Path) -> None:
    """Its devices stand in the files of all as in those of a run of its own."""
    together = rows((directory / "devices.csv").read_bytes())
    for number in (0, 2):
        single = three.model_copy(update={"regions": Regions(first=number)})
        result = run_to_directory(single, tmp_path / str(number))
        assert rows((tmp_path / str(number) / "devices.csv").read_bytes()) == [
            {column: row[column] for column in schema.DEVICES}
            for row in together
            if row["region"] == str(number)
        ]
        assert "region" not in result.devices


def test_regions_have_other_devices(directory: Path) -> None:
    lost = {(row["region"], row["energy_j"]) for row in rows((directory / "devices.csv").read_bytes())}
    assert len({energy for _, energy in lost}) == len(lost) == 3 * 4


def test_the_same_bytes_with_one_worker(three: Scenario, directory: Path, tmp_path: Path) -> None:
    run_to_directory(three, tmp_path / "one")
    for path in directory.iterdir():
        if path.name != "manifest.json":
            assert (tmp_path / "one" / path.name).read_bytes() == path.read_bytes(), path.name


def test_files_that_tell_regions_apart_have_a_column_for_them(directory: Path) -> None:
    result = Result(directory)
    assert list(result.devices.columns) == ["region", *schema.DEVICES]
    assert result.devices["region"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert result.devices["device"].tolist() == [0, 1, 2, 3] * 3
    events = pyarrow.parquet.ParquetFile(directory / "events.parquet")
    assert events.schema.names == ["region", *schema.EVENTS]
    assert set(result.events["region"]) == {0, 1, 2}
    assert result.summary["regions"] == 3 and result.summary["devices"] == 12
    assert "12 devices in 3 regions" in result.summary_text()
    assert "region" not in result.fleet


def test_results_come_in_order_and_few_are_begun_ahead() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        return number * number

    def submit(number: int) -> Future:
        return InProcessExecutor().submit(work, number)

    results = results_in_order(submit, range(5), 1)
    assert begun == [] and next(results) == 0 and begun == [0]
    assert list(results) == [1, 4, 9, 16]
    begun.clear()
    assert next(results_in_order(submit, range(9), 2)) == 0
    assert len(begun) == 4


def test_regions_that_cannot_be_are_refused() -> None:
    for text, expected in (("regions.count=0", "from 1"), ("regions.number=3", "count, first")):
        with pytest.raises(UserError, match=expected):
            load_scenario(FLEET, [text])


@given(
    st.lists(st.sampled_from([0.5, 0.91, 0.92, 0.93, 0.97, 1.0]), min_size=1, max_size=60),
    st.integers(1, 99),
)
def test_a_percentile_of_counted_values_is_numpy_s(values: list[float], percent: int) -> None:
    unique, counts = np.unique(values, return_counts=True)
    counted = list(zip(unique.tolist(), counts.tolist(), strict=True))
    assert percentile(counted, len(values), percent) == float(np.percentile(values, percent))


def test_a_percentile_among_values_that_are_not_known_is_none() -> None:
    """Of 41 values the lowest 4 are known; the 5th percentile is the third, the 20th would be the ninth."""
    known = [(0.1, 1), (0.2, 1), (0.3, 1), (0.4, 1)]
    assert percentile(known, 41, 5, sure_below=0.4) == pytest.approx(0.3)
    assert percentile(known, 41, 20, sure_below=0.4) is None
    assert percentile(known, 41, 5, sure_below=0.25) is None
    assert percentile([(0.7, 1)], 1, 5) == 0.7
    assert math.isclose(percentile([(0.0, 1), (1.0, 1)], 2, 5), 0.05)


def test_judged_from_some_pictures_the_lowest_are_still_those_of_all(three: Scenario) -> None:
    some = three.model_copy(update={"spec": three.spec.model_copy(update={"confidence": 0.95})})
    regions = [simulate_region(some, n) for n in range(2)]
    assert all(isinstance(region, RegionResult) for region in regions)
    seen = merged_tables(regions[0].totals + regions[1].totals)["fleet.csv"]
    in_full = [simulate_region(three, n).totals for n in range(2)]
    full = merged_tables(in_full[0] + in_full[1])["fleet.csv"]
    assert seen["accuracy_min"] == full["accuracy_min"]
    for p05, exact in zip(seen["accuracy_p05"], full["accuracy_p05"], strict=True):
        assert p05 is None or p05 == exact
    assert any(p05 is not None for p05 in seen["accuracy_p05"])
