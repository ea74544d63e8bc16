"""What a surrogate cannot do is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifesim.cli import main
from lifesim.errors import UserError
from lifesim.fleet.surrogate.scope import check_surrogate
from lifesim.scenario.load import load_scenario

QUICKSTART = Path(__file__).parents[3] / "scenarios" / "quickstart.toml"


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ('group.cameras.schedule={kind="oracle"}', "schedule.kind"),
        ('group.cameras.schedule={kind="adaptive", interval_s="7 d"}', "schedule.kind"),
        ('group.cameras.schedule={kind="sentinel", interval_s="7 d"}', "schedule.kind"),
        ('group.cameras.aet={criterion="mahalanobis"}', "aet.criterion"),
        ('group.cameras.policy={ladder=["nearest_code", "retrain"]}', "policy.ladder"),
        ("group.cameras.policy={diagnosis={read_only=true}}", "policy.diagnosis.read_only"),
        ('group.cameras.policy={act_when={kind="predicted_loss"}}', "policy.act_when.kind"),
        ("group.cameras.technology.verify_pulses_most=3", "technology.verify_pulses_most"),
        ("group.cameras.technology.fabrication_rate=1e-4", "technology.fabrication_rate"),
        ('group.cameras.technology="mlc_cmo_hfox"', "technology.drift"),
        ('group.cameras.technology="passive_crossbar"', "technology.half_select_median"),
    ],
)
def test_each_is_named(override: str, key: str) -> None:
    scenario = load_scenario(QUICKSTART, [override])
    with pytest.raises(UserError, match=key.replace(".", r"\.")) as refused:
        check_surrogate(scenario)
    assert "--fidelity exact" in str(refused.value)


def test_what_it_can_do_is_not_refused() -> None:
    check_surrogate(load_scenario(QUICKSTART))


def test_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    override = 'group.cameras.schedule={kind="oracle"}'
    where = tmp_path / "run"
    status = main(["run", str(QUICKSTART), "--fidelity", "surrogate", "--set", override, "-o", str(where), "--quiet"])  # fmt: skip
    assert status == 2 and not where.exists()
    assert "schedule.kind" in capsys.readouterr().err


def test_regions_for_multi(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = tmp_path / "run"
    status = main(["run", str(QUICKSTART), "--fidelity", "multi", "-o", str(where), "--quiet"])
    assert status == 2 and not where.exists()
    assert "regions.count" in capsys.readouterr().err
