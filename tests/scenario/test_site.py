"""Sites in a scenario file: profiles, traces from files, and the line that answers each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lifesim.errors import UserError
from lifesim.scenario.load import canonical_json, load_scenario, scenario_digest
from lifesim.scenario.models import Scenario
from lifesim.scenario.presets import preset_names
from lifesim.scenario.site import Site

SCENARIO = """
horizon_s = "5 y"
[group.boxes]
count = 2
network = "mlp"
technology = "rated_1e4"
site = SITE
schedule = { kind = "never" }
"""
TRACE = "time_s,temperature_c\n0,20\n3600,25.5\n86400,20\n"


@pytest.fixture
def write(tmp_path: Path):
    """Return a function that writes a scenario with the site given, beside a good trace, and returns its path."""
    (tmp_path / "box.csv").write_text(TRACE)

    def write_scenario(site: str, more: str = "") -> Path:
        path = tmp_path / "boxes.toml"
        path.write_text(SCENARIO.replace("SITE", site) + more)
        return path

    return write_scenario


def mistakes(path: Path) -> list[str]:
    with pytest.raises(UserError) as caught:
        load_scenario(path)
    return (
        str(caught.value).replace(f"{path.parent}/", "").replace("boxes.toml: group.boxes.", "").split("\n")
    )


def site(path: Path) -> Site:
    return load_scenario(path).group["boxes"].site


# -- profiles --


def test_a_histogram(write) -> None:
    loaded = site(write('{ temperatures_c = [20, "60 C"], shares = [0.75, 0.25] }'))
    assert (loaded.temperatures_c, loaded.shares, loaded.mean_c) == ((20.0, 60.0), (0.75, 0.25), None)


def test_a_trace_is_read_beside_the_scenario_wherever_one_is(write, monkeypatch) -> None:
    path = write('{ trace_csv = "box.csv", self_heating_c = 3 }')
    monkeypatch.chdir("/")
    loaded = site(path)
    assert loaded.trace_time_s == (0.0, 3600.0, 86_400.0)
    assert loaded.trace_temperature_c == (20.0, 25.5, 20.0)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + TRACE,
        TRACE.replace("\n", "\r\n"),
        TRACE.replace(",", " , ").replace("\n", "\n\n"),
        '"time_s",temperature_c\n0,20\n3.6e3,25.5\n86400,20',
    ],
)
def test_spellings_of_a_trace(write, tmp_path: Path, text: str) -> None:
    (tmp_path / "box.csv").write_text(text, newline="")
    assert site(write('{ trace_csv = "box.csv" }')).trace_temperature_c == (20.0, 25.5, 20.0)


def test_the_digest_sees_every_sample(write, tmp_path: Path) -> None:
    path = write('{ trace_csv = "box.csv" }')
    before = load_scenario(path)
    (tmp_path / "box.csv").write_text(TRACE.replace("25.5", "25.6"))
    assert scenario_digest(load_scenario(path)) != scenario_digest(before)
    assert json.loads(canonical_json(before))["group"]["boxes"]["site"]["trace_temperature_c"] == [
        20,
        25.5,
        20,
    ]


@pytest.mark.parametrize(
    "text",
    [
        '"automotive"',
        '{ trace_csv = "box.csv" }',
        "{ temperatures_c = [20], shares = [1] }",
        '"hot_box_spells"',
    ],
)
def test_the_canonical_json_reads_back_without_the_file(write, tmp_path: Path, text: str) -> None:
    scenario = load_scenario(write(text))
    (tmp_path / "box.csv").unlink()
    assert Scenario.model_validate_json(canonical_json(scenario)) == scenario


def test_another_profile_replaces_that_of_the_preset_and_its_self_heating(write) -> None:
    loaded = site(write('{ preset = "hot_box_spells", trace_csv = "box.csv" }'))
    assert (loaded.mean_c, loaded.self_heating_c, loaded.spells_per_year) == (None, 0.0, 0.3)
    loaded = site(write('{ preset = "indoor", temperatures_c = [30], shares = [1], self_heating_c = 2 }'))
    assert (loaded.hottest_hour, loaded.self_heating_c) == (None, 2.0)


def test_sites_that_existed_before_spreads_and_spells_have_none() -> None:
    for name in ("indoor", "hot_box", "sealed_outdoor"):
        loaded = Site.model_validate(name)
        assert (loaded.offset_sigma_c, loaded.spells_per_year) == (0.0, 0.0)
    assert len(preset_names("site")) >= 6
    assert all(Site.model_validate(name).offset_sigma_c == 3.0 for name in preset_names("site")[3:])


# -- mistakes --


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "{ temperatures_c = [1, 2], shares = [0.5, 0.4] }",
            "site.shares = [0.5, 0.4]: must add up to 1, not 0.9",
        ),
        (
            "{ temperatures_c = [1, 2], shares = [1] }",
            "site.shares = [1]: must be as many as 2 (temperatures_c)",
        ),
        (
            "{ temperatures_c = [1, 2] }",
            "site = {temperatures_c = [1, 2]}: without preset, all keys must be given; missing: shares",
        ),
        (
            '{ temperatures_c = [1, "2 K"], shares = [0.5, 0.5] }',
            "site.temperatures_c.1 = \"2 K\": unknown unit 'K'; units: C, °C",
        ),
        (
            "{ temperatures_c = [1, 2], shares = [-0.5, 1] }",
            "site.shares.0 = -0.5: must be a number from 0 up to 1",
        ),
        ("{ temperatures_c = 3, shares = [1] }", "site.temperatures_c = 3: must be a list, such as [1, 2]"),
        (
            '{ preset = "hot_box", temperatures_c = [3], shares = [1], mean_c = 4 }',
            "site.temperatures_c = [3]: cannot stand beside mean_c: a site has one profile",
        ),
        (
            '{ preset = "automotive", mean_c = 4 }',
            'site = {preset = "automotive", mean_c = 4}: has no whole temperature profile; '
            "missing: season_amplitude_c, day_amplitude_c, hottest_day_of_year, hottest_hour",
        ),
        (
            '{ temperatures_c = [-100], shares = [1], offset_sigma_c = 20, preset = "indoor", trace_csv = "box.csv" }',
            'site.trace_csv = "box.csv": cannot stand beside temperatures_c: a site has one profile',
        ),
        (
            '{ preset = "cold_store", mean_c = -100, self_heating_c = 0, season_amplitude_c = 100, day_amplitude_c = 100 }',
            "site.mean_c = -100: would reach -318 C, below absolute zero",
        ),
        (
            '{ preset = "hot_box", offset_sigma_c = 21 }',
            "site.offset_sigma_c = 21: must be from 0 C up to 20 C",
        ),
        (
            '{ preset = "hot_box", hottest_hour = 24 }',
            "site.hottest_hour = 24: must be a number from 0 below 24",
        ),
        (
            '{ preset = "hot_box", spells_of = "fleet" }',
            'site.spells_of = "fleet": must be one of "device", "group"',
        ),
        (
            "{ trace_time_s = [0, 9], trace_temperature_c = [1, 2, 3] }",
            "site.trace_temperature_c = [1, 2, 3]: must be as many as 2 (trace_time_s)",
        ),
        (
            "{ trace_time_s = [0], trace_temperature_c = [1] }",
            "site.trace_time_s = [0]: must have at least two samples",
        ),
        ("{ trace_csv = 3 }", "site.trace_csv = 3: must be text"),
    ],
)
def test_a_wrong_site_is_answered_with_one_line(write, text: str, line: str) -> None:
    assert mistakes(write(text)) == [line]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the first line of box.csv must be time_s,temperature_c, but it is empty"),
        ("time,temp\n0,1\n", "the first line of box.csv must be time_s,temperature_c, not time,temp"),
        ("0,20\n3600,25\n", "the first line of box.csv must be time_s,temperature_c, not 0,20"),
        ("time_s,temperature_c\n", "box.csv has 0 rows below its first; must have from 2 up to 100000"),
        ("time_s,temperature_c\n0,20\n", "box.csv has 1 rows below its first; must have from 2 up to 100000"),
        (TRACE.replace("25.5", "warm"), "box.csv, line 3: temperature_c must be a number, not 'warm'"),
        (TRACE.replace("25.5", "nan"), "box.csv, line 3: temperature_c = nan: must be a finite number"),
        (
            TRACE.replace("25.5", "400"),
            "box.csv, line 3: temperature_c = 400: must be from -100 C up to 300 C",
        ),
        (TRACE.replace("25.5", "1,2"), "box.csv, line 3: must have 2 values, not 3"),
        (TRACE.replace("3600", "-1"), "box.csv, line 3: time_s = -1: must be from 0 s up to 1000 y"),
        (
            TRACE.replace("3600", "90000"),
            "must ascend in time: sample 3 (86400 s) is not after sample 2 (90000 s)",
        ),
        (TRACE.replace("3600", "0"), "must ascend in time: sample 2 (0 s) is not after sample 1 (0 s)"),
        (TRACE.replace("3600", "36").replace("86400", "3599"), "must last at least 3600 s"),
        (
            "time_s,temperature_c\n" + "0,0\n" * 100_001,
            "box.csv has 100001 rows below its first; must have from 2 up to 100000",
        ),
    ],
)
def test_a_file_that_is_no_trace_is_answered_with_one_line(
    write, tmp_path: Path, text: str, problem: str
) -> None:
    path = write('{ trace_csv = "box.csv" }')
    (tmp_path / "box.csv").write_text(text)
    assert mistakes(path) == [f'site.trace_csv = "box.csv": {problem}']


def test_a_trace_that_cannot_be_read(write, tmp_path: Path) -> None:
    assert mistakes(write('{ trace_csv = "bix.csv" }')) == [
        'site.trace_csv = "bix.csv": no such file: bix.csv'
    ]
    (tmp_path / "folder.csv").mkdir()
    assert "cannot be read" in mistakes(write('{ trace_csv = "folder.csv" }'))[0]
    (tmp_path / "box.csv").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8 text" in mistakes(write('{ trace_csv = "box.csv" }'))[0]


@pytest.mark.parametrize("shape", ["[1, 2]", str([0] * 24)])
def test_a_day_has_24_hours_and_not_all_are_idle(write, shape: str) -> None:
    path = write('"indoor"', f"workload.daily_shape = {shape}")
    assert mistakes(path)[0].endswith(": must be 24 weights, not all 0")


def test_devices_start_before_the_horizon(write) -> None:
    path = write('"indoor"', 'commissioning_s = "6 y"')
    assert mistakes(path) == ['commissioning_s = "6 y": must not exceed horizon_s (5 y)']
