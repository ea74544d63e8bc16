"""The commands around comparisons: what is asked on the command line reaches the library, and its errors have the right status."""

import made_up_comparison
import pytest

from lifesim.cli import main
from lifesim.comparison import compare as comparing
from lifesim.comparison import optimise as optimising

QUICKSTART = str(made_up_comparison.QUICKSTART)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Note what is asked of the library, and answer with a comparison that nobody has run."""
    noted = {}

    def compare(alternatives, directory, executor, **more):
        from lifesim.comparison.results import read_comparison

        noted.update(
            more, labels=[a.label for a in alternatives], directory=str(directory), alternatives=alternatives
        )
        made_up_comparison.write(tmp_path / "made-up", "never,periodic:7d")
        return read_comparison(tmp_path / "made-up")

    monkeypatch.setattr(comparing, "compare", compare)
    return noted


def test_compare(asked, capsys):
    status = main(
        ["compare", QUICKSTART, "--schedules", "never,weekly=periodic:7d", "--until-ci", "in_spec_availability=0.01", "--until-ci", "tests=2",
         "--replications", "32", "--baseline", "weekly", "--set", "group.cameras.count=3", "--seed", "9", "-o", "there"]
    )  # fmt: skip
    assert status == 0
    assert asked["labels"] == ["never", "weekly"]
    assert asked["until"] == {"in_spec_availability": 0.01, "tests": 2.0}
    assert (asked["replications"], asked["baseline"], asked["directory"]) == (32, "weekly", "there")
    scenario = asked["alternatives"][1].scenario
    assert (scenario.seed, scenario.group["cameras"].count) == (9, 3)
    out = capsys.readouterr().out
    assert "In spec, against never on the same devices" in out
    assert "pairing divides the variance by" in out
    assert "Written to there" in out


def test_compare_without_a_directory(asked, capsys):
    assert main(["compare", QUICKSTART, "--schedules", "never", "--quiet"]) == 0
    assert asked["directory"] == "results/quickstart-comparison"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["compare", QUICKSTART], "--schedules"),
        (["compare", QUICKSTART, "--schedules", "nevr"], "did you mean 'never'"),
        (["compare", QUICKSTART, "--schedules", "never", "--until-ci", "tests"], "must be MEASURE=WIDTH"),
        (["compare", "nowhere.toml", "--schedules", "never"], "no such file"),
        (["report", "nowhere"], "no comparison.json"),
        (
            [
                "optimise",
                QUICKSTART,
                "--schedule",
                "periodic",
                "--over",
                "schedule.interval_s",
                "--bounds",
                "1d",
            ],
            "LOW:HIGH",
        ),
    ],
)
def test_bad_input_has_status_2_and_a_line(arguments, text, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


def test_report(tmp_path, capsys):
    made_up_comparison.write(tmp_path, "never,periodic:7d", replications=2)
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"Written to {tmp_path / 'report.html'}\n"
    assert (tmp_path / "report.html").stat().st_size > 1e6


def test_optimise(monkeypatch, capsys):
    noted = {}

    def search(problem, objective, directory, executor, **more):
        noted.update(more, problem=problem, objective=objective, directory=str(directory))
        return optimising.search(
            lambda candidates: [[c[0], c[0] + 1] for c in candidates], problem.dimensions, 5
        )

    monkeypatch.setattr(optimising, "optimise", search)
    status = main(
        ["optimise", QUICKSTART, "--schedule", "periodic", "--over", "schedule.interval_s", "--bounds", "1d:30d", "--objective", "silent_share",
         "--replications", "4", "--evaluations", "5"]
    )  # fmt: skip
    assert status == 0
    assert (noted["objective"], noted["replications"], noted["evaluations"]) == ("silent_share", 4, 5)
    assert noted["directory"] == "results/quickstart-optimum"
    assert "schedule.interval_s = 86400" in capsys.readouterr().out
