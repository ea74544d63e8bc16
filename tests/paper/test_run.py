"""The whole evaluation, very small: what it writes, that it goes on where it was interrupted, and what it refuses."""

from __future__ import annotations

import dataclasses
import json

import pandas as pd
import pytest

from lifesim.cli import main
from lifesim.paper import settings as paper_settings
from lifesim.paper.items import ITEMS
from lifesim.paper.plan import COLUMNS, OUTCOME
from lifesim.paper.run import reproduce
from lifesim.paper.settings import QUICK, Settings
from lifesim.paper.verdicts import claims

TINY = dataclasses.replace(
    QUICK, networks=("mlp",), models=20, screening=14, candidates=40, random_sets=2, steps=20, pictures=400, other_models=10
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny() -> Settings:
    return Settings(TINY, quick=True)


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory, mlp_model):
    """Everything at once, of the MLP."""
    directory = tmp_path_factory.mktemp("paper")
    return directory, reproduce(tiny, directory)


def csvs(directory):
    return {path.name: path.read_bytes() for path in directory.glob("*.csv")}


def test_every_item_has_its_csv(whole):
    directory, _ = whole
    assert set(csvs(directory)) == {f"{item}.csv" for item in ITEMS}
    for item in ITEMS:
        table = pd.read_csv(directory / f"{item}.csv")
        assert list(table.columns) == [*COLUMNS[item], *OUTCOME]
        if item == "fig5":
            continue  # of LeNet alone
        assert len(table) and table["ours"].notna().all(), item
        bounded = table.dropna(subset=["low", "high"])
        assert (bounded["low"] <= bounded["ours"]).all() and (bounded["ours"] <= bounded["high"]).all()
        judged = table[table["paper"].notna()]
        assert set(judged["verdict"]) <= {"meets", "consistent", "fails"}
        assert judged["paper_where"].notna().all()
        assert (table["reading"] == "bits").all() or item in ("readings", "table3")


def test_every_claim_about_this_network_is_judged(whole):
    _, rows = whole
    for claim in claims():
        if claim.about.get("network", "mlp") == "mlp" and claim.item != "fig5":
            assert any(claim.speaks_of(row) for row in rows[claim.item]), claim


def test_adversarial_pictures_find_more_than_normal_ones(whole):
    """Random ones, under the paper's faults: no choice of pictures, no luck."""
    table = pd.DataFrame(whole[1]["fig7"])
    found = table[(table["choice"] == "random") & (table["criterion"] == "sdc3") & (table["pictures"] == 1)]
    by = found.groupby("examples")["ours"].mean()
    assert by["aet"] > by["origin"] + 0.1 and by["aet - origin"] == pytest.approx(by["aet"] - by["origin"])


def test_more_pictures_find_no_less(whole):
    table = pd.DataFrame(whole[1]["fig8"])
    kinds = table[table["examples"] != "aet - origin"]
    for _, of_kind in kinds.groupby(["network", "criterion", "examples", "choice"]):
        assert of_kind.sort_values("pictures")["ours"].is_monotonic_increasing


def test_retraining_recovers_what_masking_loses(whole):
    table = pd.DataFrame(whole[1]["fig11"])
    worst = table[
        (table["cells"] == "SLC") & (table["permanent_rate"] == 0.015) & (table["format"] == "tightest")
    ]
    lost = worst.set_index("measure")["ours"]
    assert lost["accuracy lost, masked and retrained, mean"] < 0.5 * lost["accuracy lost, masked, mean"]


def test_without_noise_enough_to_see_nobody_is_accused(whole):
    table = pd.DataFrame(whole[1]["false_alarms"])
    share = table[(table["pictures"] == 16) & (table["criterion"] == "sdc3") & (table["examples"] == "aet")]
    by = share.set_index("noise_sigma")["ours"]
    assert by[0.001] <= by[0.003] <= by[0.01] and by[0.01] > 0.5


def test_interrupted_runs_go_on_with_the_same_bytes(whole, tiny, tmp_path):
    asked = 0

    def interrupt(share: float, doing: str) -> None:
        nonlocal asked
        asked += 1
        if asked == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(tiny, tmp_path, ("fig7", "fig8"), progress=interrupt)
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    assert kept and not csvs(tmp_path)
    reproduce(tiny, tmp_path, ("fig7", "fig8"))
    for name, content in csvs(tmp_path).items():
        assert content == csvs(whole[0])[name]
    assert all((tmp_path / "cells" / name).stat().st_mtime_ns == time for name, time in kept.items())


def test_other_settings_are_done_anew(whole, tiny, tmp_path):
    reproduce(tiny, tmp_path, ("fig8",))
    before = csvs(tmp_path)["fig8.csv"]
    other = dataclasses.replace(tiny, reading="q3_12")
    rows = reproduce(other, tmp_path, ("fig8",))["fig8"]
    assert csvs(tmp_path)["fig8.csv"] != before and {row["reading"] for row in rows} == {"q3_12"}


def test_workers_make_no_difference(whole, tiny, tmp_path):
    reproduce(tiny, tmp_path, ("table1", "fig8"), workers=2)
    assert csvs(tmp_path) == {name: csvs(whole[0])[name] for name in ("table1.csv", "fig8.csv")}


def test_the_command_says_what_the_paper_says_and_writes_where_it_is_told(
    tmp_path, capsys, monkeypatch, mlp_model
):
    monkeypatch.setattr(paper_settings, "QUICK", TINY)
    out = tmp_path / "there"
    assert main(["paper", "--quick", "--only", "table1, table3", "-o", str(out), "--models", "7"]) == 0
    text = capsys.readouterr().out
    assert "table1" in text and "0.9616" in text and "1064" in text and f"Written to {out}" in text
    about = json.loads((out / "paper.json").read_text())
    assert about["settings"]["size"]["models"] == 7 and about["reading"]["name"] == "bits"
    assert {path.name for path in out.iterdir()} == {"table1.csv", "table3.csv", "paper.json", "cells"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "fig6"], "--only fig6: no item 'fig6'; allowed: table1, "),
        (["--reading", "bitz"], "--reading bitz: no such reading; allowed: bits, "),
        (["--data", "nowhere"], "--data nowhere: no such directory"),
        (["--data", ".", "--only", "table1"], "has no "),
        (["--models", "1"], "Invalid value for '--models'"),
        (["-o", "file", "--quick", "--only", "table3"], "file: is a file, not a directory"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(arguments, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["paper", *arguments]) == 2
    assert says in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
