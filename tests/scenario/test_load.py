"""Scenario files: what loads, what overrides do, and the one line that answers every mistake."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from lifesim.errors import UserError
from lifesim.scenario.load import canonical_json, load_scenario, scenario_digest
from lifesim.scenario.models import Group, Scenario
from lifesim.scenario.schedule import Periodic

BROKEN = Path(__file__).parent / "broken"
GOOD = """
horizon_s = "5 y"

[group.cameras]
count = 24
network = "mlp"
technology = "rated_1e4"
site = "hot_box"
schedule = { kind = "periodic", interval_s = "7 d" }
"""


def cameras(scenario: Scenario) -> Group:
    return scenario.group["cameras"]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.toml"
    file.write_text(GOOD)
    return file


def mistakes(path: Path, *overrides: str, seed: int | None = None) -> list[str]:
    """Return the lines with which ``path`` is refused, without its directory."""
    with pytest.raises(UserError) as caught:
        load_scenario(path, overrides, seed)
    return str(caught.value).replace(f"{path.parent}/", "").split("\n")


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.toml")), ids=lambda path: path.stem)
def test_a_broken_file_is_answered_with_exactly_one_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    with pytest.raises(UserError) as caught:
        load_scenario(path.name)
    assert str(caught.value) + "\n" == path.with_suffix(".error").read_text(encoding="utf-8")


def test_there_are_twenty_broken_files_and_each_differs_in_its_error() -> None:
    errors = {path.read_text(encoding="utf-8") for path in BROKEN.glob("*.error")}
    assert len(errors) == len(list(BROKEN.glob("*.toml"))) >= 20


def test_defaults_and_units(good: Path) -> None:
    scenario = load_scenario(good)
    group = scenario.group["cameras"]
    assert (scenario.name, scenario.seed, scenario.horizon_s) == ("good", 0, 157_680_000.0)
    assert (scenario.report_interval_s, scenario.spec.resolution_s) == (2_592_000.0, 86_400.0)
    assert scenario.start == datetime.date(2026, 1, 1)
    assert group.schedule == Periodic(kind="periodic", interval_s=604_800.0)
    assert group.workload.reloads_per_day == {}
    assert group.link.preset == "nb_iot"
    assert group.technology.retention_median_s == 2 * 365 * 86_400.0
    assert scenario.cloud.service.median_s == 30.0


def test_a_date_may_be_written_as_a_date_of_toml(good: Path) -> None:
    good.write_text("start = 2027-07-01" + GOOD)
    assert load_scenario(good).start == datetime.date(2027, 7, 1)


def test_keys_beside_a_preset_override_it(good: Path) -> None:
    plain = load_scenario(good).group["cameras"].site
    good.write_text(GOOD.replace('"hot_box"', '{ preset = "hot_box", mean_c = "40 C" }'))
    changed = load_scenario(good).group["cameras"].site
    assert changed == plain.model_copy(update={"mean_c": 40.0})


def test_a_table_without_preset_needs_and_takes_all_keys(good: Path) -> None:
    site = "mean_c = 1, season_amplitude_c = 2, day_amplitude_c = 3, self_heating_c = 4"
    good.write_text(GOOD.replace('"hot_box"', f"{{ {site}, hottest_day_of_year = 5, hottest_hour = 6 }}"))
    loaded = load_scenario(good).group["cameras"].site
    assert (loaded.preset, loaded.mean_c, loaded.hottest_hour) == (None, 1.0, 6.0)


def test_windows_line_ends_and_byte_order_mark(good: Path) -> None:
    expected = load_scenario(good)
    good.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_scenario(good) == expected


def test_every_mistake_of_a_file_has_its_line(good: Path) -> None:
    good.write_text("seed = -1\nhorzon = 3" + GOOD.replace("24", "0").replace("mlp", "mpl"))
    lines = mistakes(good)
    assert [line.split(" = ")[0] for line in lines] == [
        "good.toml: seed",
        "good.toml: group.cameras.count",
        "good.toml: group.cameras.network",
        "good.toml: horzon",
    ]


@pytest.mark.parametrize(
    ("override", "get", "expected"),
    [
        ("horizon_s=2 y", lambda s: s.horizon_s, 2 * 365 * 86_400.0),
        ('horizon_s="2 y"', lambda s: s.horizon_s, 2 * 365 * 86_400.0),
        ("group.cameras.count=3", lambda s: cameras(s).count, 3),
        ("group.cameras.site=indoor", lambda s: cameras(s).site.preset, "indoor"),
        ("group.cameras.site.mean_c=60", lambda s: cameras(s).site.mean_c, 60.0),
        ("group.cameras.site.mean_c=60", lambda s: cameras(s).site.day_amplitude_c, 12.0),
        ("group.cameras.schedule.interval_s=1 d", lambda s: cameras(s).schedule.interval_s, 86_400.0),
        ('group.cameras.schedule={kind="never"}', lambda s: cameras(s).schedule.kind, "never"),
        (
            "group.cameras.workload.reloads_per_day.fc1=4",
            lambda s: cameras(s).workload.reloads_per_day,
            {"fc1": 4.0},
        ),
        ("cloud.workers=3", lambda s: s.cloud.workers, 3),
        ("start=2030-06-01", lambda s: s.start, datetime.date(2030, 6, 1)),
        ("name=other", lambda s: s.name, "other"),
        (" seed = 7 ", lambda s: s.seed, 7),
    ],
)
def test_overrides(good: Path, override: str, get, expected: object) -> None:
    assert get(load_scenario(good, [override])) == expected


def test_later_overrides_win_and_the_seed_option_wins_over_all(good: Path) -> None:
    assert load_scenario(good, ["seed=1", "seed=2"]).seed == 2
    assert load_scenario(good, ["seed=1"], seed=5).seed == 5


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("count", '--set: "count": must be dotted.key=value, such as group.cameras.count=100'),
        (
            "group..count=1",
            '--set: "group..count=1": must be dotted.key=value, such as group.cameras.count=100',
        ),
        ("horizon_s.x=1", '--set: horizon_s.x: horizon_s is "5 y", not a table to set a key of'),
        (
            "group.cameras.count=0",
            "--set: group.cameras.count = 0: must be a whole number from 1 up to 1000000",
        ),
        (
            'horizon_s="10 d"',
            "--set: report_interval_s (default 30 d): must not exceed horizon_s (10 d)",
        ),
        (
            "group.camras.count=3",
            "--set: group.camras.count: no group \"camras\"; there: cameras; did you mean 'cameras'?",
        ),
        (
            "group.cameras.aet.vote=17",
            "--set: group.cameras.aet.vote = 17: no more than the 16 pictures (aet.pictures) can deviate",
        ),
        (
            "group.cameras.link=lte",
            '--set: group.cameras.link = "lte": no such link preset; '
            "allowed: lorawan_sf7, lorawan_sf12, nb_iot, nb_iot_nb2, lte_m, lte_cat1, wifi, ethernet; did you mean 'lte_m'?",
        ),
        (
            "group.cameras.backhaul=dsl",
            '--set: group.cameras.backhaul = "dsl": no such [backhaul.NAME]; there is none',
        ),
        (
            'group.cameras.backhaul=""',
            '--set: group.cameras.backhaul = "": no such [backhaul.NAME]; there is none',
        ),
        (
            'group.cameras.technology.bits_per_cell="2"',
            '--set: group.cameras.technology.bits_per_cell = "2": must be one of 1, 2',
        ),
        (
            "group.cameras.site.hottest_day_of_year=400",
            "--set: group.cameras.site.hottest_day_of_year = 400: must be a whole number from 1 up to 365",
        ),
        (
            'group.cameras.workload.banks={a=["fc1"]}',
            '--set: group.cameras.workload.banks.a = ["fc1"]: must be a list of at least 2, each text',
        ),
    ],
)
def test_a_wrong_override_is_named_as_such(good: Path, override: str, line: str) -> None:
    assert mistakes(good, override) == [line]


def test_a_mistake_of_the_file_is_not_blamed_on_an_override(good: Path) -> None:
    good.write_text(GOOD.replace("24", "0"))
    assert mistakes(good, "seed=3") == [
        "good.toml: group.cameras.count = 0: must be a whole number from 1 up to 1000000"
    ]


def test_a_wrong_seed_option_is_named_as_such(good: Path) -> None:
    assert mistakes(good, seed=-3) == [
        "--seed: seed = -3: must be a whole number from 0 up to 9223372036854775807"
    ]


def test_files_that_cannot_be_read(good: Path) -> None:
    folder = good.parent
    assert mistakes(folder / "god.toml") == ["god.toml: no such file; did you mean 'good.toml'?"]
    assert mistakes(folder / "zzz") == ["zzz: no such file; there: good.toml"]
    assert "no such file, nor a directory" in mistakes(folder / "nowhere" / "good.toml")[0]
    assert mistakes(folder)[0].endswith("is a directory; give a scenario file in it; there: good.toml")


def test_a_file_name_that_is_no_directory_name(good: Path) -> None:
    odd = good.rename(good.parent / "my scenario.toml")
    assert mistakes(odd)[0].startswith(
        "my scenario.toml: name: is missing, and the file's name cannot replace it"
    )
    assert load_scenario(odd, ["name=mine"]).name == "mine"


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5000, 'a = "\x00"'])
def test_hostile_toml_is_refused_in_one_line(good: Path, text: str) -> None:
    good.write_text(text)
    assert len(mistakes(good)) == 1


def test_the_digest_sees_values_and_not_their_spelling(good: Path) -> None:
    reference = scenario_digest(load_scenario(good))
    good.write_text(
        GOOD.replace('"5 y"', '"1825 d"').replace('"hot_box"', '{ preset = "hot_box", mean_c = 55 }')
    )
    assert scenario_digest(load_scenario(good)) == reference
    assert scenario_digest(load_scenario(good, seed=1)) != reference
    assert scenario_digest(load_scenario(good, ["group.cameras.site.mean_c=55.001"])) != reference


def test_the_canonical_json_reads_back(good: Path) -> None:
    scenario = load_scenario(good, ["group.cameras.workload.reloads_per_day={fc2=1, fc1=2}"])
    assert Scenario.model_validate_json(canonical_json(scenario)) == scenario


def test_the_order_of_reloaded_layers_means_nothing(good: Path) -> None:
    one = load_scenario(good, ["group.cameras.workload.reloads_per_day={fc2=1, fc1=2}"])
    other = load_scenario(good, ["group.cameras.workload.reloads_per_day={fc1=2, fc2=1}"])
    assert scenario_digest(one) == scenario_digest(other)
