"""The pictures of a comparison, drawn from its files: what is drawn, said, refused."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import made_up_comparison
import numpy as np
import pytest
from matplotlib.image import imread

from lifesim.comparison.results import Comparison, read_comparison

SCRIPT = Path(__file__).parents[2] / "analysis" / "compare_schedules.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare_schedules", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    directory = tmp_path_factory.mktemp("comparison")
    made_up_comparison.write(directory, "never,weekly=periodic:7d,readback:7d,blind_refresh:180d")
    return read_comparison(directory)


def test_curves_are_the_means_of_the_file(script: ModuleType, comparison: Comparison) -> None:
    above, below = script.over_time(comparison).axes
    rows = comparison.frame("curves").set_index(["schedule", "curve"])
    for number, label in enumerate(script.labels_of(comparison)):
        colour = script.STYLES[number][0]
        thick = [line for line in above.lines if line.get_color() == colour and line.get_linewidth() > 2]
        np.testing.assert_allclose(thick[0].get_ydata(), rows.loc[(label, "accuracy_mean"), "mean"] * 100)
        (share,) = (line for line in below.lines if line.get_color() == colour)
        np.testing.assert_allclose(share.get_ydata(), rows.loc[(label, "in_spec_availability"), "mean"] * 100)
    for axes, curves in ((above, ("accuracy_mean", "accuracy_p05")), (below, ("in_spec_availability",))):
        for curve in curves:  # noqa: B007 (the query names it)
            values = comparison.frame("curves").query("curve == @curve")["mean"] * 100
            low, high = axes.get_ylim()
            assert low <= values.min()
            assert values.max() <= high, "nothing is cut off"
    assert len(below.collections) == 4, "a band each"


def test_labels_do_not_overlap(script: ModuleType, comparison: Comparison) -> None:
    _, below = script.over_time(comparison).axes
    places = sorted(text.xyann[1] for text in below.texts)
    low, high = below.get_ylim()
    assert min(np.diff(places)) >= 0.19 * (high - low)
    assert "89.6 % overall" in "".join(text.get_text() for text in below.texts)


def test_the_front_is_that_of_the_file(script: ModuleType, comparison: Comparison) -> None:
    axes = script.pareto(comparison, "tests", "in_spec_availability").axes[0]
    points = comparison.frame("pareto").query("x == 'in_spec_availability' and y == 'tests'")
    on_front = set(points[points["on_front"] == 1]["schedule"])
    filled = {
        line.get_label()
        for line in axes.lines
        if line.get_marker() == "o" and line.get_markerfacecolor() != "white"
    }
    assert filled == on_front
    assert on_front


def test_differences_are_those_of_the_file(script: ModuleType, comparison: Comparison) -> None:
    axes = script.differences(comparison).axes[0]
    drawn = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    pairs = comparison.frame("pairs").query("measure == 'in_spec_availability'")
    np.testing.assert_allclose(drawn, pairs["difference"] * 100)


def test_undetected_and_wear(script: ModuleType, comparison: Comparison) -> None:
    axes = script.undetected(comparison).axes[0]
    assert len(axes.lines) == 4
    for line in axes.lines:
        assert line.get_ydata()[0] == 100
        assert (np.diff(line.get_ydata()) <= 1e-9).all()
        assert line.get_ydata()[-1] == pytest.approx(0, abs=1e-9)
    bars = [bar.get_height() for bar in script.wear(comparison).axes[0].patches]
    np.testing.assert_allclose(sorted(bars), sorted(comparison.frame("wear")["stuck_cells_mean"]))


def test_pictures_and_table(
    script: ModuleType, comparison: Comparison, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([str(comparison.directory), "-o", str(tmp_path / "pictures")]) == 0
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert names == {f"{name}.png" for name in ("over_time", "differences", "pareto", "undetected", "wear")}
    for name in names:
        assert imread(tmp_path / "pictures" / name).shape[1] == 1197
    lines = capsys.readouterr().out.splitlines()
    mean = script.mean_of(comparison, "in_spec_availability", "weekly")
    row = next(line for line in lines if line.startswith("| weekly"))
    assert f"| {mean:.3%} |" in row
    assert "points, better |" in row


def test_one_replication_has_no_bands(script: ModuleType, tmp_path: Path) -> None:
    made_up_comparison.write(tmp_path, "never,periodic:7d", replications=1)
    comparison = read_comparison(tmp_path)
    assert not script.over_time(comparison).axes[1].collections
    assert "points |" in script.table(comparison)
    script.pareto(comparison, "tests", "cost")
    script.differences(comparison)


def test_a_title_of_ones_own(script: ModuleType, comparison: Comparison) -> None:
    figure = script.over_time(comparison, title="Test weekly")
    assert figure.texts[0].get_text() == "Test weekly"
    assert "with blind_refresh:180d" in script.over_time(comparison).texts[0].get_text()


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.63089, "63.1 %"),
        (0.9896, "99.0 %"),
        (0.9957, "99.57 %"),
        (0.99966, "99.966 %"),
        (1 - 1e-9, "> 99.999 %"),
        (1.0, "100.000 %"),
    ],
)
def test_percent(script: ModuleType, share: float, text: str) -> None:
    assert script.percent(share) == text


def test_mistakes(
    script: ModuleType, comparison: Comparison, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([str(tmp_path), "-o", str(tmp_path)]) == 2
    assert "no comparison.json" in capsys.readouterr().err
    assert script.main([str(comparison.directory), "-o", str(tmp_path), "--across", "test"]) == 2
    assert "allowed: in_spec_availability" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
