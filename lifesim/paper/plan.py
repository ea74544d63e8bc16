"""Which pieces of work the tables and figures consist of, and which columns their CSVs have."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lifesim.network.architecture import load_architecture
from lifesim.paper import detecting, deviation, false_alarms, retraining, tables
from lifesim.paper.pictures import Chosen, choose
from lifesim.paper.readings import Cells, readings
from lifesim.paper.settings import CELLS, Settings, model_of
from lifesim.paper.tasks import Task
from lifesim.paper.verdicts import paper

VERSION = 2
"""Raise it with every change that alters what a task returns."""

OUTCOME = ("ours", "low", "high", "n", "paper", "paper_where", "verdict", "reading")
COLUMNS: dict[str, Sequence[str]] = {
    "table1": tables.ACCURACY_COLUMNS,
    "table3": tables.SPEED_COLUMNS,
    "fig5": deviation.COLUMNS,
    **dict.fromkeys(detecting.ITEMS, detecting.COLUMNS),
    "fig11": retraining.COLUMNS,
    "false_alarms": false_alarms.COLUMNS,
    "readings": ("figure", *detecting.COLUMNS),
}
_PER_READING = {"candidates": 300, "screening": 60, "random_models": 50}
_SHOWN = (1, 2, 4)  # pictures
Pictures = Mapping[tuple[str, Cells], Chosen]


def prepare(settings: Settings, name: str) -> str:
    """Train a network, or find it, and return its digest (hex)."""
    return model_of(settings.network(name)).digest.hex()


def _needs_pictures(items: Sequence[str]) -> list[Cells]:
    needed = {
        "SLC": {"fig5", "fig7", "false_alarms"},
        "MLC": {"fig8", "fig9", "fig10"},
    }
    return [cells for cells in CELLS if needed[cells] & set(items)]


class Plan:
    """The work of a run. ``digests``: of its networks, by name."""

    def __init__(self, settings: Settings, items: Sequence[str], digests: Mapping[str, str]):
        self.settings, self.items, self.digests = settings, items, digests
        self._networks = list(digests)

    def pictures(self) -> dict[tuple[str, Cells], Task]:
        """Return the tasks that choose test pictures."""
        return {
            (name, cells): self._task(
                f"pictures-{name}-{cells}",
                _chosen,
                (self.settings, name, cells),
                name,
                2.0,
                sizes=("screening", "candidates", "random_sets"),
                conditions=[asdict(c) for c in self.settings.conditions(name, cells)],
            )
            for cells in _needs_pictures(self.items)
            for name in self._networks
        }

    def tasks(self, pictures: Pictures) -> Iterator[tuple[str, Task]]:
        """Yield the tasks of each item with its name, once test ``pictures`` are chosen."""
        for item in self.items:
            for task in self._of_item(item, pictures):
                yield item, task

    def _of_item(self, item: str, pictures: Pictures) -> Iterator[Task]:
        settings = self.settings
        if item == "table3":
            yield Task("table3", tables.speed_up, (), {"version": VERSION}, 0.1)
            return
        for name in self._networks:
            match item:
                case "table1":
                    yield self._task(
                        f"table1-{name}", tables.accuracy, (settings, name), name, 0.1, ("pictures",)
                    )
                case "fig5":
                    if name == deviation.NETWORK:
                        chosen = pictures[name, "SLC"]
                        yield self._task(
                            "fig5", deviation.deviations, (settings, chosen), name, 1.0,
                            ("models", "random_models", "pictures"), chosen=asdict(chosen),
                        )  # fmt: skip
                case "fig7" | "fig8" | "fig9" | "fig10":
                    for cells in CELLS:
                        for condition in settings.conditions(name, cells):
                            if detecting.item_of(condition) != item:
                                continue
                            chosen = pictures[name, cells]
                            label = condition.name + (f"-{condition.theta:g}" if condition.theta else "")
                            yield self._task(
                                f"{item}-{name}-{label}", detecting.detect, (settings, name, condition, chosen),
                                name, 1.0, ("models", "random_models"), chosen=asdict(chosen), condition=asdict(condition),
                            )  # fmt: skip
                case "fig11":
                    for cells in CELLS:
                        for format, rate in retraining.cases(paper()["networks"][name]["retrained"]):
                            yield self._task(
                                f"fig11-{name}-{cells}-{format}-{rate:g}", retraining.recover,
                                (settings, name, cells, format, rate), name, 12.0,
                                ("devices", "steps", "pictures"), rate=rate,
                                masking=asdict(retraining.masking(settings)), through=asdict(retraining.through(settings)),
                            )  # fmt: skip
                case "false_alarms":
                    for sigma in false_alarms.SIGMAS:
                        chosen = pictures[name, "SLC"]
                        yield self._task(
                            f"false-alarms-{name}-{sigma:g}", false_alarms.false_alarms,
                            (settings, name, sigma, chosen), name, 1.0, ("models",), chosen=asdict(chosen),
                        )  # fmt: skip
                case "readings":
                    for reading in readings():
                        for cells in ("MLC",) if reading.startswith("theta") else CELLS:
                            yield self._of_reading(reading, name, cells)

    def _of_reading(self, reading: str, name: str, cells: Cells) -> Task:
        size = self.settings.size
        smaller = dataclasses.replace(
            size,
            models=min(size.models, size.other_models),
            **{name: min(getattr(size, name), most) for name, most in _PER_READING.items()},
        )
        settings = dataclasses.replace(self.settings, reading=reading, size=smaller)
        return Plan(settings, (), self.digests)._task(
            f"readings-{reading}-{name}-{cells}", under_reading, (settings, name, cells), name, 0.4,
            ("models", "candidates", "screening", "random_sets", "random_models"),
            conditions=[asdict(c) for c in settings.conditions(name, cells)], shown=_SHOWN,
        )  # fmt: skip

    def _task(
        self,
        label: str,
        function: Any,
        arguments: tuple[Any, ...],
        network: str,
        weight: float,
        sizes: Sequence[str] = (),
        **shaped_by: Any,
    ) -> Task:
        reading = asdict(self.settings.reading_of())
        reading.pop("summary")
        what = {
            "version": VERSION,
            "seed": self.settings.seed,
            "network": self.digests[network],
            "reading": reading,
            "size": {name: getattr(self.settings.size, name) for name in sizes},
            **shaped_by,
        }
        return Task(label, function, arguments, what, weight * _relative_time(network))


def _relative_time(network: str) -> float:
    return 0.2 + load_architecture(network).macs / 1e6


def _chosen(settings: Settings, name: str, cells: Cells) -> dict[str, Any]:
    return asdict(choose(settings, name, cells))


def under_reading(settings: Settings, name: str, cells: Cells) -> list[dict[str, Any]]:
    """Return the rows of one network and kind of cells under one reading: pictures chosen for it, and what they find."""
    chosen = choose(settings, name, cells, origin=False)
    return [
        {"figure": detecting.item_of(condition), **row}
        for condition in settings.conditions(name, cells)
        for row in detecting.detect(settings, name, condition, chosen, _SHOWN)
        if row["criterion"] == "sdc3"
    ]
