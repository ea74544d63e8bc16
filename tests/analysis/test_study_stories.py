"""Stories of studies, told from files: every number comes from them, and the studies say how to make them."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import made_up_comparison
import pytest

from lifesim.comparison.alternatives import parse_schedules
from lifesim.comparison.results import read_comparison

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "scenarios" / "studies").glob("*.toml"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    sys.path.insert(0, str(ROOT / "analysis"))
    spec = importlib.util.spec_from_file_location("study_stories", ROOT / "analysis" / "study_stories.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    sys.path.remove(str(ROOT / "analysis"))
    return module


def asked(study: Path) -> dict[str, str]:
    """Return the options of the first `lifesim compare` at the head of a study."""
    text = re.sub(r"\\\n#\s*", "", study.read_text(encoding="utf-8"))
    words = shlex.split(re.search(r"lifesim compare (.*)", text)[1])
    return dict(zip(words[1::2], words[2::2], strict=True)) | {"scenario": words[0]}


def test_every_study_has_a_story(script: ModuleType) -> None:
    assert {study.stem for study in STUDIES} == set(script.STORIES)


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.stem)
def test_a_story_is_told_of_the_comparison_that_its_study_asks_for(
    script: ModuleType, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = asked(study)
    assert options["scenario"] == f"scenarios/studies/{study.name}"
    compared = made_up_comparison.alternatives(options["--schedules"])
    kept = made_up_comparison.made_up(compared)
    baseline = options.get("--baseline", compared[0].label)
    made_up_comparison.write_comparison(tmp_path, compared, kept, baseline, {}, True)
    assert script.main([study.stem, str(tmp_path), "-o", str(tmp_path / "pictures")]) == 0
    told = capsys.readouterr().out.splitlines()[0]
    comparison = read_comparison(tmp_path)
    shares = comparison.frame("comparison").query("measure == 'in_spec_availability'")["mean"]
    said = re.findall(r"(\d+\.\d+) %", told)
    assert {float(number) for number in said} <= {
        round(share * 100, digits) for share in shares for digits in (1, 2, 3)
    }
    assert len(told) > 300
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_another_comparison_has_no_such_story(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up_comparison.write(tmp_path, "never,periodic:3d")
    assert script.main(["worn_meters", str(tmp_path), "-o", str(tmp_path / "pictures")]) == 2
    assert "with which schedules to compare" in capsys.readouterr().err
    assert not (tmp_path / "pictures").exists()


def test_schedules_of_studies_are_well_formed() -> None:
    assert all(len(parse_schedules(asked(study)["--schedules"])) >= 5 for study in STUDIES)
