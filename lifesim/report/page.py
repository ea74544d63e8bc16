"""From a comparison's files to one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lifesim.comparison.results import Comparison, read_comparison
from lifesim.comparison.schema import FILES, VERDICTS
from lifesim.errors import LifesimError
from lifesim.files import atomic_write
from lifesim.report.assumptions import assumptions
from lifesim.report.figures import choices_data, figures
from lifesim.report.findings import findings
from lifesim.report.formats import NOTHING, half_width, shown
from lifesim.scenario.presets import STANDINGS
from lifesim.timeunits import S_PER_YEAR

REPORT = "report.html"
_MAIN = (
    "in_spec_availability", "silent_share", "undetected_p95_s", "accuracy_p05", "tests", "cloud_jobs", "care_energy_j", "cell_cycles", "cost",
)  # fmt: skip
"""Measures of the first table; all of them follow further down."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a table: in full, as it is shown, the interval, what the comparison with the baseline says."""

    value: str
    text: str
    interval: str = ""
    verdict: str = ""


def write_report(directory: str | Path) -> Path:
    """Write the page of the comparison in ``directory`` beside its files and return its path.

    Raises UserError where there is no comparison, LifesimError where what draws the page is not installed.
    """
    comparison = read_comparison(directory)
    path = comparison.directory / REPORT
    try:
        atomic_write(path, page(comparison))
    except OSError as error:
        raise LifesimError(f"{path}: {error.strerror or error}") from error
    return path


def page(comparison: Comparison) -> str:
    """Return the page. The same files give the same bytes."""
    try:
        import jinja2
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise LifesimError(
            f'the report needs {error.name}: python -m pip install -c constraints.txt ".[report]"'
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lifesim.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    manifest = comparison.manifest
    drawn, main_names = figures(comparison), [name for name in _MAIN if name in manifest["measures"]]
    data = {
        "figures": [asdict(figure) for figure in drawn],
        "choices": choices_data(comparison),
        "csv": {name: (comparison.directory / name).read_text(encoding="utf-8") for name in FILES},
    }
    scenario = manifest["schedules"][0]["scenario"]
    return environment.get_template("report.html").render(
        manifest=manifest,
        facts=_facts(manifest, scenario),
        findings=list(findings(comparison)),
        main=_table(comparison, main_names),
        main_names=main_names,
        full=_table(comparison, list(manifest["measures"])),
        measures=manifest["measures"],
        figures=drawn,
        verdicts=VERDICTS,
        bases=assumptions(scenario),
        standings=STANDINGS,
        scenario_lines=_dotted(scenario),
        schedule_lines=[
            (entry["label"], _differing(entry["scenario"], scenario)) for entry in manifest["schedules"]
        ],
        plotly=_inline(get_plotlyjs()),
        data=_inline_json(data),
    )


def _facts(manifest: Mapping[str, Any], scenario: Mapping[str, Any]) -> list[tuple[str, str]]:
    devices = sum(group["count"] for group in scenario["group"].values())
    return [
        (f"{devices:,}", "device" if devices == 1 else "devices"),
        (f"{scenario['horizon_s'] / S_PER_YEAR:g}", "years simulated"),
        (str(len(manifest["schedules"])), "schedules"),
        (str(manifest["replications"]), "replications of each"),
    ]


def _table(comparison: Comparison, measures: Sequence[str]) -> list[tuple[str, bool, list[Cell]]]:
    """Return a row a schedule: its label, whether it is the baseline, a cell a measure."""
    means = comparison.frame("comparison").set_index(["measure", "schedule"]).sort_index()
    pairs = comparison.frame("pairs").set_index(["measure", "schedule"]).sort_index()
    baseline, rows = comparison.manifest["baseline"], []
    for entry in comparison.manifest["schedules"]:
        label, cells = entry["label"], []
        for measure in measures:
            if (measure, label) not in means.index:
                cells.append(Cell("", NOTHING))
                continue
            row, unit = means.loc[(measure, label)], comparison.manifest["measures"][measure]["unit"]
            verdict = pairs.loc[(measure, label)]["verdict"] if (measure, label) in pairs.index else ""
            value = "" if math.isnan(row["mean"]) else repr(float(row["mean"]))
            cells.append(
                Cell(value, shown(row["mean"], unit), half_width(row["low"], row["high"], unit), verdict)
            )
        rows.append((label, label == baseline, cells))
    return rows


def _dotted(table: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Return the keys of nested tables with their values as JSON, in order; what is not given is left out."""
    lines: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            lines += _dotted(value, f"{above}{key}.")
        elif value is not None:
            lines.append((f"{above}{key}", json.dumps(value, ensure_ascii=False)))
    return lines


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the schedule of each group, and what else of a scenario is not as in the other."""
    there = set(_dotted(other))
    return [line for line in _dotted(one) if line not in there or ".schedule." in line[0]]


def _inline_json(value: Any) -> Any:
    """Return JSON that cannot end the script element that it stands in."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _inline(script: str) -> Any:
    """Return a trusted script for a script element; nothing in it may look like the end of that."""
    from markupsafe import Markup

    return Markup(script.replace("</script", "<\\/script"))
