"""The paper's figures: drawn from CSVs alone, the committed ones among them, which say what the code would say."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from matplotlib.image import imread

from lifesim.paper.items import ITEMS
from lifesim.paper.plan import COLUMNS, OUTCOME
from lifesim.paper.verdicts import judged

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "analysis" / "paper_figures.py"
COMMITTED = ROOT / "docs" / "paper"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("paper_figures", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_figure_is_drawn(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([str(COMMITTED), "-o", str(tmp_path)]) == 0
    drawn = capsys.readouterr().out.split()
    assert {Path(name).stem for name in drawn} == set(script.FIGURES)
    for name in drawn:
        picture = imread(name)
        assert picture.shape[0] > 250 and picture.shape[1] > 400
        assert picture[..., :3].std() > 0.05, "not blank"
        assert Path(name).stat().st_size < 100_000


def test_without_csvs_it_says_so(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([str(tmp_path)]) == 2
    assert "has no CSV of a figure" in capsys.readouterr().err


def test_it_needs_the_files_only() -> None:
    assert not re.search(r"^\s*(import|from) lifesim", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("item", ITEMS)
def test_committed_tables_say_what_the_code_would_say(item: str) -> None:
    table = pd.read_csv(COMMITTED / f"{item}.csv")
    assert list(table.columns) == [*COLUMNS[item], *OUTCOME]
    for row in table.to_dict("records"):
        again = judged(row.get("figure", item), {k: "" if v != v else v for k, v in row.items()})
        assert again["verdict"] == ("" if row["verdict"] != row["verdict"] else row["verdict"]), row
