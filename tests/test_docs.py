"""The documentation says what the code does: reference pages are its own, commands parse, snippets run."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import typer

import lifesim
from lifesim.cli import app
from lifesim.comparison import schema as comparison_schema
from lifesim.comparison.alternatives import load_alternatives
from lifesim.comparison.optimise import make_problem
from lifesim.experiment import schema
from lifesim.fleet.outlook import outlook
from lifesim.scenario.presets import load_preset, preset_kinds, preset_names
from lifesim.sweep.plan import load_plan

ROOT = Path(__file__).parents[1]
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if path.exists()]
SWEEPS = sorted((ROOT / "scenarios" / "sweeps").glob("*.toml"))
SCENARIOS = [path for path in sorted((ROOT / "scenarios").rglob("*.toml")) if path not in SWEEPS]
SOURCES = [
    *PAGES,
    *SCENARIOS,
    *SWEEPS,
    *sorted((ROOT / "analysis").glob("*.py")),
]
COMMAND = typer.main.get_command(app)


def _reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "text"), _reference().pages().items())
def test_reference_pages_are_what_the_code_would_write(name: str, text: str) -> None:
    committed = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert committed == text, "run: python docs/make_reference.py"


def test_the_reference_names_every_key_and_every_column() -> None:
    """The pages come from the models; this compares them with the JSON Schema, which comes from pydantic."""
    page = (ROOT / "docs" / "scenario.md").read_text(encoding="utf-8")
    for name, table in lifesim_schema()["$defs"].items():
        for arm in (table, *table.get("anyOf", ())):
            for key, described in arm.get("properties", {}).items():
                if key != "kind":
                    assert f"| `{key}` |" in page, f"{name}.{key}"
                    assert (
                        " ".join(described["description"].split()).split(".")[0] in " ".join(page.split())
                        or key == "preset"
                    ), f"{name}.{key}"
    page = (ROOT / "docs" / "outputs.md").read_text(encoding="utf-8")
    for columns in (
        *comparison_schema.FILES.values(),
        schema.FLEET,
        schema.GROUPS,
        schema.DEVICES,
        schema.SURVIVAL,
        schema.RATES,
        schema.LAYERS,
        schema.EVENTS,
        schema.ESTIMATES,
        schema.EVENT_KINDS,
    ):
        for column in columns:
            assert f"`{column}`" in page, column


def lifesim_schema() -> dict:
    from lifesim.scenario.load import json_schema

    return json_schema()


# -- command lines --


def _code_blocks(path: Path, language: str) -> Iterator[str]:
    for block in re.finditer(
        rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        yield block[1]


def _command_lines() -> Iterator[tuple[str, str]]:
    """Every line that calls lifesim or one of our scripts, in pages, scenarios and docstrings."""
    program = (
        r"(?:lifesim (?:run|sweep|train|paper|validate|schema|presets)\b|python (?:analysis|docs)/\w+\.py)"
    )
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".md":
            found = [line for block in _code_blocks(path, "(?:sh|bash|console)?") for line in _joined(block)]
            found += re.findall(r"^ {4}\S.*", text, re.MULTILINE)
            found += re.findall(rf"`({program}[^`\n]*)`", text)
        else:
            found = _joined(text)
        for line in found:
            for command in re.findall(rf"{program}[^;#&|]*", line):
                yield path.name, command.strip()


def _joined(text: str) -> list[str]:
    return re.sub(r"\\+\n\s*", "", text).splitlines()


def test_there_are_command_lines_to_check() -> None:
    found = list(_command_lines())
    assert len(found) > 10
    assert {name for name, _ in found} >= {"reading_results.md", "scenario.md", "quickstart.toml"}


@pytest.mark.parametrize(("where", "line"), sorted(set(_command_lines())))
def test_command_lines_parse_and_their_scenarios_exist(where: str, line: str) -> None:
    words = shlex.split(line.split(" > ")[0].split("`")[0])
    if words[0] == "python":
        assert (ROOT / words[1]).is_file(), f"{where}: {line}"
        return
    command = COMMAND.commands[words[1]]
    if len(words) == 2 or {"SCENARIO", "KIND", "key=value"} & set(
        words
    ):  # the name of a command, or a pattern
        return
    parsed = command.make_context(words[1], words[2:]).params
    if "sweep" in parsed:
        load_plan(ROOT / parsed["sweep"])
    scenario = parsed.get("scenario")
    if scenario is None:
        return
    assert (ROOT / scenario).is_file(), f"{where}: {line}"
    lifesim.load(ROOT / scenario, parsed["overrides"] or ())
    if "schedules" in parsed:
        load_alternatives(ROOT / scenario, parsed["schedules"], parsed["overrides"] or ())
    if "bounds" in parsed:
        asked = (parsed[name] for name in ("schedule", "over", "bounds", "overrides"))
        make_problem(ROOT / scenario, *(given or () for given in asked))


# -- scenarios --


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenarios_validate_and_open_with_a_question_and_its_answer(path: Path) -> None:
    outlook(lifesim.load(path))
    comment = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    first_paragraph = comment[: comment.index("")]
    assert "?" in " ".join(first_paragraph), "the first paragraph asks"
    assert any(line.startswith("Answer") for line in comment)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scenario_snippets_validate(page: Path, tmp_path: Path) -> None:
    for i, block in enumerate(_code_blocks(page, "toml")):
        path = tmp_path / f"snippet{i}.toml"
        path.write_text(block, encoding="utf-8")
        lifesim.load(path)


# -- Python, and files on disk --


@pytest.mark.usefixtures("mlp_model")
def test_python_snippets_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run them where results/quickstart-1 is a short run of two devices."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenarios").symlink_to(ROOT / "scenarios")
    load, short = lifesim.load, ["group.cameras.count=2", "horizon_s=60 d"]
    monkeypatch.setattr(
        lifesim, "load", lambda path, overrides=(), seed=None: load(path, [*overrides, *short], seed)
    )
    result = lifesim.run(lifesim.load("scenarios/quickstart.toml"), "results/quickstart-1")
    blocks = [block for page in PAGES for block in _code_blocks(page, "python")]
    assert blocks
    for block in blocks:
        shutil.rmtree("results/two-cameras", ignore_errors=True)
        exec(compile(textwrap.dedent(block), "snippet", "exec"), {})
    assert "accuracy_p05" in capsys.readouterr().out
    assert set(result.summary) == set(_reference().SUMMARY) - {"regions", "fidelity", "surrogates"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


def test_the_picture_is_light_enough_for_a_readme() -> None:
    assert (ROOT / "docs" / "quickstart.png").stat().st_size < 150_000


# -- what a reader of the repository alone cannot look up --


@pytest.mark.parametrize("kind", preset_kinds())
def test_sources_of_presets_can_be_looked_up(kind: str) -> None:
    for name in preset_names(kind):
        for key, parameter in load_preset(kind, name).parameters.items():
            assert not re.search(r"PHYSICS|DESIGN|shared/", parameter.source), f"{kind} {name} {key}"


def test_the_script_of_the_picture_asks_for_what_the_scenario_allows() -> None:
    spec = importlib.util.spec_from_file_location(
        "quickstart_schedules", ROOT / "analysis" / "quickstart_schedules.py"
    )
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    words = script.command(Path("results"), replications=2, workers=1)[4:]
    parsed = COMMAND.commands["compare"].make_context("compare", words).params
    compared = load_alternatives(parsed["scenario"], parsed["schedules"])
    kinds = {a.label: a.scenario.group["cameras"].schedule.kind for a in compared}
    assert kinds == {
        "weekly RRAMedy": "periodic",
        "weekly read-back": "readback",
        "180-day refresh": "blind_refresh",
        "no tests": "never",
    }
