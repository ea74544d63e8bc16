"""Write the two reference pages from the code that they describe: docs/outputs.md and docs/scenario.md.

    python docs/make_reference.py

A test fails while a committed page differs from what this writes.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from lifesim.comparison import schema as comparison_schema
from lifesim.comparison.measures import MEASURES
from lifesim.comparison.optimise import EVALUATION_COLUMNS
from lifesim.experiment import schema
from lifesim.scenario import models
from lifesim.scenario.cloud import Retraining
from lifesim.scenario.policy import Diagnosis
from lifesim.scenario.presets import load_preset
from lifesim.scenario.prices import Prices
from lifesim.scenario.table import PresetTable, Table
from lifesim.scenario.units import UNITS, Quantity
from lifesim.sweep.schema import SweepFile
from lifesim.sweep.sensitivity import COLUMNS as SENSITIVITY_COLUMNS

HERE = Path(__file__).resolve().parent
NOTE = "<!-- Written by docs/make_reference.py from the code. Change the code, then run it. -->\n"


def pages() -> dict[str, str]:
    """Return file name -> text of every page that is written from the code."""
    return {"outputs.md": outputs_page(), "scenario.md": scenario_page()}


# -- what a run writes --

SUMMARY = {
    "scenario": "name of the scenario",
    "seed": "its seed",
    "horizon_s": "simulated time (s)",
    "regions": "regions, where there are several",
    "devices": "devices",
    "groups": "for each group: devices, network, schedule, accuracy when new and required, number format",
    "availability": "share of all device time serving",
    "in_spec_availability": "share of it serving in spec",
    "out_silent_share": "share of it serving out of spec with no alarm raised",
    "state_s": "seconds in each state, all devices together",
    "accuracy_last_mean": "mean accuracy at the horizon of the devices that can be observed then",
    "accuracy_last_mean_se": "its standard error; 0 where all spec pictures are looked at",
    "in_spec_last": "how many of them are in spec",
    "running_last": "how many they are",
    "counts": "the counts of fleet.csv, added up",
    "energy_j": "joules, added up",
    "per_device_year": "for a device and a year: joules by cause (`energy_j`), bytes by cause (`bytes`), cell writes, inferences, extra wrong ones",
    "waits": "detection and repair: devices that waited, to how many it happened, median (s, Kaplan-Meier; null if fewer than half got there)",
    "rates": "spec_loss and retirement of the whole fleet: the columns of rates.csv",
    "cloud": "workers; bound of their load, from before the run; their utilisation; mean wait of a job (s)",
    "warnings": "what `lifesim validate` warns of, a line each",
    "fidelity": "`surrogate`, where networks were not evaluated",
    "surrogates": "and then, for each group: from how many examples it was predicted, and how far it is off on those held out (docs/surrogate.md)",
}
"""Key of summary.json -> meaning."""

_OUTPUTS_HEAD = """# What a run writes

`lifesim run` fills a directory, by default `results/<scenario>-<seed>/`:

| File | What it holds |
|---|---|
| `fleet.csv` | the whole fleet, one row a report time |
| `groups.csv` | the same for each group |
| `devices.csv` | one row a device |
| `survival.csv` | Kaplan-Meier curves |
| `rates.csv` | how often devices fail: one row a group and kind of failure |
| `layers.csv` | wear at the end: one row a group and layer (or layers that share cells) |
| `estimates.csv` | with `--fidelity multi`: means over regions, with intervals |
| `events.parquet` | the trace: one row an event |
| `summary.json` | the numbers that the run printed at its end |
| `manifest.json` | what was run: the scenario in full, its hash, seed, versions, machine, times, `status` |

- The manifest's `status` is `running`, `finished`, `interrupted` or `failed`; its scenario has presets filled
  in and base units.
- The CSVs, the trace and the summary depend on the scenario and its seed alone, on one type of processor
  with the same versions: byte for byte, whatever `--workers` and with or without `--stepped`. The manifest
  tells runs apart, so it differs: `wall_clock_s` by phase, `of_which_s` the simulation's tests, retraining
  and event loop (with more than one worker also accuracy, as far as the simulation sees to it or waits for it),
  `peak_memory_bytes` of the run without its workers.
- CSV means: UTF-8, comma, one header line, a line feed ends a line, a point is the decimal sign, empty
  where there is no value.
- Every file is written whole or not at all. While a run goes on, `run.journal` lies beside them, with which `--resume` goes on after a
  kill ([how](scaling.md#resume)).
- Column names carry their unit; a year is 365 days exactly. Seconds are exact decimals of whole
  nanoseconds, so the states of a row add up exactly: ten states of a device sum to the horizon. (A float
  in pandas keeps some 16 digits of them.)
- Rows of `fleet.csv` and `groups.csv` are *periods*: durations, shares, counts and energy are those since
  the row before; accuracy and cells are those of the instant `time_s`. The first row is the start: its
  periods are empty.
- An instant counts in the period that it ends; what happens at time 0 counts in the first.
"""

_STATES_HEAD = """
## States

At any time a device is in exactly one state; it serves in the first three.

| State | Meaning |
|---|---|
"""


_NOTES = {
    "rates.csv": """A failure is the first of its kind of a device; device-hours count until then, or until the device is retired or the run ends. FIT is
failures per 1e9 device-hours. With k failures in T device-hours the 95 % interval is chi2(0.025; 2 k) / 2 T to
chi2(0.975; 2 k + 2) / 2 T; with none the upper bound is chi2(0.95; 2) / 2 T = 3.0 / T. It takes the rate as
constant: of devices that wear out, it is the mean over the time simulated and not a rate to extrapolate with.

""",
    "estimates.csv": """Of a run with `--fidelity multi` alone; the other files are those of the surrogate. See [surrogate.md](surrogate.md).

""",
    "layers.csv": """Of each device when it was last in use, which is the horizon unless it was retired, offline or under repair
then.

""",
}


def outputs_page() -> str:
    """Return docs/outputs.md."""
    parts = [NOTE, _OUTPUTS_HEAD, _STATES_HEAD]
    parts += [f"| `{state}` | {meaning} |\n" for state, meaning in schema.STATES.items()]
    files = {
        "fleet.csv": schema.FLEET,
        "devices.csv": schema.DEVICES,
        "survival.csv": schema.SURVIVAL,
        "rates.csv": schema.RATES,
        "layers.csv": schema.LAYERS,
        "events.parquet": schema.EVENTS,
        "estimates.csv": schema.ESTIMATES,
    }
    for name, columns in files.items():
        parts.append(f"\n## {name}\n\n")
        if name == "fleet.csv":
            parts.append("`groups.csv` has these columns after one more, `group`.\n\n")
        if name == "devices.csv":
            parts.append("Durations, counts and energy are those of the whole run.\n\n")
        if name in ("devices.csv", "events.parquet"):
            (region,) = schema.REGION
            parts.append(
                f"A run of several regions has one more column before these, `{region}`: the {schema.REGION[region].meaning}; "
                "devices are numbered anew in each.\n\n"
            )
        if name in _NOTES:
            parts.append(_NOTES[name])
        parts.append(_column_table(columns))
    parts.append("\nKinds of event:\n\n| Event | Meaning |\n|---|---|\n")
    parts += [f"| `{kind}` | {meaning} |\n" for kind, meaning in schema.EVENT_KINDS.items()]
    parts.append("\n## summary.json\n\n| Key | Meaning |\n|---|---|\n")
    parts += [f"| `{key}` | {meaning} |\n" for key, meaning in SUMMARY.items()]
    return "".join(parts) + _comparison()


_COMPARISON_HEAD = """
# What a comparison writes

`lifesim compare` fills a directory, by default `results/<scenario>-comparison/`, with CSVs as above. They depend on the scenario, the
schedules and the number of replications alone, whatever `--workers` and interruptions. `tasks/` holds what each schedule and replication came
to, under a name that is a hash of all that shaped it: asked again, or for more, `lifesim compare` runs only what is not there.
`comparison.json` says what was compared; `lifesim report` adds `report.html`.

Measures (rates are per device and year; without a value, such as `cost` without `[prices]`, they are left out):

| Measure | Unit | Better | Meaning |
|---|---|---|---|
"""

_OPTIMUM_HEAD = """
# What an optimisation writes

`lifesim optimise` writes `optimum.json` (the best settings, which range of them is not told apart from the best, the scenario with them) and
`evaluations.csv`: one row a candidate, a column for each key that was searched, and

| Column | Meaning |
|---|---|
"""


_SWEEP_HEAD = """
# What a sweep writes

`lifesim sweep` writes a Parquet data set, `sweep.parquet/`, with one row a point, schedule and replication (`point`, `schedule`, `replication`, a column for
each key that was varied, and the measures above), pictures, and `sensitivity.csv`; [what each is](scaling.md#sweeps).

| Column | Meaning |
|---|---|
"""

_SWEEP_KEYS_HEAD = """
Keys of a sweep file:

"""


def _comparison() -> str:
    """Return the part about comparisons and optimisations."""
    parts = [_COMPARISON_HEAD]
    for name, measure in MEASURES.items():
        parts.append(f"| `{name}` | {measure.unit} | {measure.better} | {measure.meaning} |\n")
    for name, columns in comparison_schema.FILES.items():
        parts.append(f"\n## {name}\n\n" + _column_table(columns))
    parts.append(_OPTIMUM_HEAD)
    parts += [f"| `{name}` | {meaning} |\n" for name, meaning in EVALUATION_COLUMNS.items()]
    parts.append(_SWEEP_HEAD)
    parts += [f"| `{name}` | {meaning} |\n" for name, meaning in SENSITIVITY_COLUMNS.items()]
    parts.append(_SWEEP_KEYS_HEAD)
    parts.append(_key_table(SweepFile.model_fields))
    return "".join(parts)


def _column_table(columns: Mapping[str, schema.Column]) -> str:
    rows = [f"| `{name}` | {column.unit} | {column.meaning} |\n" for name, column in columns.items()]
    return "| Column | Unit | Meaning |\n|---|---|---|\n" + "".join(rows)


# -- what a scenario may say --

_SCENARIO_HEAD = """# Keys of a scenario file

A scenario is one TOML file. `lifesim validate` checks it and says what to expect of it; `lifesim schema`
prints the JSON Schema with which an editor completes it; `lifesim run --set key=value` changes one key of
it.

- A key's last part names its unit. A bare number is in that unit; text may carry another: `horizon_s = "5
  y"`, `uplink_bps = "62 kbit/s"`.
- Units: {units}. A year is 365 days.
- `network`, `technology`, `site` and `link` take the name of a preset, or a table: of a preset and what
  differs from it (`site = {{ preset = "hot_box", mean_c = 60 }}`), or of all the keys. `lifesim presets
  KIND` prints the numbers with their sources.
- A key without a default must be given, except those that a preset gives.
- Unknown keys are errors.

```toml
seed = 1
horizon_s = "5 y"

[group.cameras]
count = 24
network = "mlp"
technology = "rated_1e4"
site = {{ preset = "hot_box", mean_c = 50 }}
workload.reloads_per_day = {{ fc2 = 288, fc3 = 288 }}
schedule = {{ kind = "periodic", interval_s = "7 d" }}
```
"""

# heading of a section, path, model; where the heading is a field that takes a table by its kind, the section is of those kinds
_SECTIONS: tuple[tuple[str, str, type[Table]], ...] = (
    ("The file", "", models.Scenario),
    ("[spec]", "", models.Spec),
    ("[group.NAME]", "", models.Group),
    ("network", "group.NAME.network", models.Network),
    ("technology", "group.NAME.technology", models.Technology),
    ("site", "group.NAME.site", models.Site),
    ("link", "group.NAME.link", models.Link),
    ("workload", "group.NAME.workload", models.Workload),
    ("aet", "group.NAME.aet", models.Aet),
    ("schedule", "group.NAME.schedule", models.Group),
    ("policy", "group.NAME.policy", models.Policy),
    ("act_when", "group.NAME.policy.act_when", models.Policy),
    ("call", "group.NAME.policy.call", models.Policy),
    ("diagnosis", "group.NAME.policy.diagnosis", Diagnosis),
    ("[backhaul.NAME]", "", models.Backhaul),
    ("[cloud]", "", models.Cloud),
    ("service", "cloud.service", models.Cloud),
    ("retraining", "cloud.retraining", Retraining),
    ("[regions]", "", models.Regions),
    ("[prices]", "", Prices),
)


def scenario_page() -> str:
    """Return docs/scenario.md."""
    units = "; ".join(
        f"{', '.join(f'`{unit}`' for unit in sizes)} (of {base})" for base, sizes in UNITS.items()
    )
    parts = [NOTE, _SCENARIO_HEAD.format(units=units)]
    for heading, path, model in _SECTIONS:
        parts.append(f"\n## {heading if heading[0] in '[T' else f'[{path}]'}\n\n")
        if kinds := _kinds(model.model_fields[heading]) if heading in model.model_fields else {}:
            for kind, table in kinds.items():
                parts.append(f'`kind = "{kind}"`: {_sentence(table)}\n\n')
                fields = {key: field for key, field in table.model_fields.items() if key != "kind"}
                parts.append(_key_table(fields) + "\n" if fields else "")
            parts[-1] = parts[-1].removesuffix("\n")
            continue
        parts.append(f"{_sentence(model)}\n\n")
        if issubclass(model, PresetTable):
            parts += [
                f"- `{name}`: {load_preset(model.kind_of_preset, name).summary}\n" for name in model.names()
            ]
            parts.append("\n")
        parts.append(_key_table(model.model_fields))
    return "".join(parts)


def _sentence(model: type[Table]) -> str:
    return " ".join(model.__doc__.split())


def _key_table(fields: Mapping[str, FieldInfo]) -> str:
    rows = [
        f"| `{key}` | {_allowed(field)} | {_default(key, field)} | {' '.join(field.description.split())} |\n"
        for key, field in fields.items()
    ]
    return "| Key | Allowed | Default | Meaning |\n|---|---|---|---|\n" + "".join(rows)


def _default(key: str, field: FieldInfo) -> str:
    if key == "name":
        return "the file's name"  # the models do not know the file
    if field.default is PydanticUndefined:
        return ""
    default = field.default
    if isinstance(default, Table):
        return f"kind `{default.kind}`" if hasattr(default, "kind") else "its defaults"
    if isinstance(default, tuple) and default:
        return f"`{', '.join(default)}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return "" if default in (None, ()) else f"`{default}`" if default != {} else "none"


def _allowed(field: FieldInfo) -> str:
    """Say in words what a key takes: type or unit, then range."""
    for quantity in field.metadata:
        if isinstance(quantity, Quantity):
            bounds = (("above", quantity.above), ("from", quantity.least), ("up to", quantity.most))
            return " ".join([quantity.base + ",", *(f"{word} {bound}" for word, bound in bounds if bound)])
    annotation: Any = field.annotation
    if _kinds(field):
        return "a table, by `kind`"
    if get_origin(annotation) in (Union, types.UnionType):  # X | None
        annotation = next(arm for arm in get_args(annotation) if arm is not type(None))
        if get_origin(annotation) is Annotated:
            return _allowed(FieldInfo.from_annotation(annotation))
    if get_origin(annotation) in (tuple, list):
        return f"list, each: {_allowed(FieldInfo.from_annotation(get_args(annotation)[0]))}"
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is dict:
        entry = FieldInfo.from_annotation(get_args(annotation)[1])
        if entry.annotation is Any:
            return "table"
        return "tables by name" if _is_table(entry.annotation) else f"table of numbers{_bounds(entry)}"
    if _is_table(annotation):
        return "preset or table" if issubclass(annotation, PresetTable) else "table"
    words = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    return words.get(annotation, "date") + _bounds(field)


def _bounds(field: FieldInfo) -> str:
    bounds = [
        f"{word} {_number(getattr(bound, name))}"
        for name, word in (("ge", "from"), ("gt", "above"), ("le", "up to"), ("lt", "below"))
        for bound in field.metadata
        if getattr(bound, name, None) is not None
    ]
    return (" " + " ".join(bounds)) if bounds else ""


def _number(value: float) -> str:
    return (
        f"{value:,}"
        if isinstance(value, int) and value < 10**7
        else f"{value:g}"
        if value < 2**32 - 1
        else _large(value)
    )


def _large(value: float) -> str:
    power = round(value).bit_length()
    return f"2^{power} - 1" if isinstance(value, int) and value == 2**power - 1 else f"{value:g}"


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Table)


def _kinds(field: FieldInfo) -> dict[str, type[Table]]:
    """Return kind -> model where a field takes one of several tables, else nothing."""
    return dict(_tables_of(field.annotation))


def _tables_of(annotation: Any) -> Iterator[tuple[str, type[Table]]]:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    for arm in get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ():
        if _is_table(arm) and "kind" in arm.model_fields:
            yield get_args(arm.model_fields["kind"].annotation)[0], arm


def main() -> None:
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
        print(f"Written: docs/{name}")


if __name__ == "__main__":
    main()
