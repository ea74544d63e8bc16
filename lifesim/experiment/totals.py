"""What one region comes to, so that regions add up exactly: the sum is the same in any order, and never larger than one region but for what is told apart.

Whole numbers are Python integers. Sums of floats are fractions, which are exact: a float is a whole number of powers of two. Accuracies are histograms of
what was observed, from which mean, minimum and percentile of many regions follow as of one.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from lifesim.errors import LifesimError
from lifesim.experiment import schema
from lifesim.experiment.accounting import DeviceAccount, together
from lifesim.experiment.energy import energy_by_cause
from lifesim.experiment.extremes import PERCENTILE, how_many_matter
from lifesim.experiment.lives import Lives
from lifesim.experiment.milestones import milestones, waits
from lifesim.experiment.observation import Sample
from lifesim.experiment.silence import ENDINGS, silent_spells
from lifesim.experiment.tables import Seen, Spans
from lifesim.experiment.traffic import bytes_by_cause
from lifesim.experiment.wear import bank_wear
from lifesim.fleet.build import Plan
from lifesim.timeunits import NS_PER_S

_SAME, _MOST, _LEAST = ({"merge": how} for how in ("same", "most", "least"))
# All other fields add up.


@dataclass(slots=True)
class SeenTotals:
    """What was seen of devices at one report time.

    ``accuracy``: accuracies as observed -> devices; ``full``: those on all pictures, of the devices that were looked at in full; ``sure_below``: no other device is
    lower than this; ``variance`` of the sum of accuracies.
    """

    accuracy: Counter[float]
    full: Counter[float]
    sure_below: float = field(metadata=_LEAST)
    variance: Fraction
    in_spec: int
    stuck_cells: int
    expired_cells: int

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> SeenTotals:
        full = [s.full_accuracy for s in samples if s.full_accuracy is not None]
        known_for_certain = how_many_matter(len(samples)) if samples else 0
        return cls(
            Counter(s.accuracy for s in samples),
            Counter(full),
            math.inf if len(full) == len(samples) else sorted(full)[known_for_certain - 1],
            sum((Fraction(s.accuracy_se) ** 2 for s in samples if s.accuracy_se), Fraction(0)),
            sum(s.in_spec for s in samples),
            sum(s.stuck_cells for s in samples),
            sum(s.expired_cells for s in samples),
        )

    def seen(self) -> Seen:
        """Return it as it stands in fleet.csv; no percentile where too few have been looked at in full to know it."""
        n = self.accuracy.total()
        if not n:
            return Seen(0, None, None, None, None, 0, None, None)
        full = sorted(self.full.items())
        p05 = percentile(full, n, PERCENTILE, self.sure_below)
        return Seen(
            n,
            float(sum(Fraction(value) * count for value, count in self.accuracy.items()) / n),
            math.sqrt(self.variance) / n,
            p05,
            full[0][0],
            self.in_spec,
            self.stuck_cells / n,
            self.expired_cells / n,
        )


@dataclass(slots=True)
class BankTotals:
    """The wear of one bank of cells of the devices that have ever been in use; as in layers.csv."""

    layers: str = field(metadata=_SAME)
    cells: int = field(metadata=_SAME)
    devices: int
    operations: Fraction
    most_operations: int = field(metadata=_MOST)
    expected_stuck: Fraction
    stuck: int
    most_stuck: int = field(metadata=_MOST)
    expired: int


@dataclass(slots=True)
class GroupTotals:
    """One group in one region or several.

    ``described``: what summary.json says of the group but how many devices. By period: ``time_ns`` [periods][STATES], ``counts`` [periods][COUNTS], ``answers``
    [periods][ANSWERS], ``energy_j`` [periods][ENERGY_CAUSES]; ``seen`` at each report time. ``waits``: by measure, durations in ns -> devices to which it happened
    and devices to which it had not yet. ``spells``: by ending, whole seconds -> silent spells. ``ends_ns``: of those retired, the sum of the times.
    """

    described: dict[str, Any] = field(metadata=_SAME)
    devices: int
    time_ns: list[list[int]]
    counts: list[list[int]]
    answers: list[list[Fraction]]
    energy_j: list[list[Fraction]]
    seen: list[SeenTotals]
    waits: dict[str, list[Counter[int]]]
    spells: dict[str, Counter[int]]
    sent_bytes: Counter[str]
    retired: int
    ends_ns: int
    banks: list[BankTotals]


@dataclass(slots=True)
class FleetTotals:
    """All groups, and the clouds, of ``regions`` regions; the edges of the periods are the report times."""

    edges_ns: list[int] = field(metadata=_SAME)
    regions: int
    groups: dict[str, GroupTotals]
    cloud: Counter[str]

    def __add__(self, other: FleetTotals) -> FleetTotals:
        """Return what both are together. Raises ValueError for regions that are not of the same scenario."""
        return _merged(self, other)

    def whole(self, name: str) -> Any:
        """Return one of the fields that add up, over all groups."""
        return reduce(_plus, (getattr(group, name) for group in self.groups.values()))

    def spans(self, measure: str, group: str | None = None) -> Spans:
        """Return how long was waited by ``measure`` in a group, or in all."""
        happened, not_yet = (self.groups[group].waits if group else self.whole("waits"))[measure]
        lengths = [np.array(sorted(of_kind.elements()), np.int64) for of_kind in (happened, not_yet)]
        return np.concatenate(lengths), np.repeat([True, False], [len(of_kind) for of_kind in lengths])

    def at_risk(self, measure: str, group: str | None = None) -> tuple[int, int]:
        """Return to how many it happened, and the sum of all waits (ns), as of :meth:`spans`."""
        happened, not_yet = (self.groups[group].waits if group else self.whole("waits"))[measure]
        return happened.total(), sum(ns * n for of_kind in (happened, not_yet) for ns, n in of_kind.items())

    def encode(self) -> str:
        """Return it as JSON, for :meth:`decode`: the same totals, digit for digit."""
        return json.dumps(_plain(self), separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> FleetTotals:
        """Read what :meth:`encode` has written. Raises LifesimError for anything else."""
        try:
            totals = json.loads(text, object_hook=_revived)
        except (ValueError, TypeError, KeyError) as error:
            raise LifesimError(f"no totals of a region: {error}") from None
        if not isinstance(totals, cls):
            raise LifesimError("no totals of a region")
        return totals


def totals_of(lives: Lives) -> FleetTotals:
    """Return what one region has come to."""
    fleet, totals = lives.fleet, lives.fleet.cloud
    by_group: dict[str, list[DeviceAccount]] = {name: [] for name in fleet.plans}
    for account in lives.accounts:
        by_group[account.record.group].append(account)
    cloud = Counter(
        submitted=totals.submitted,
        started=totals.started,
        waiting_ns=totals.waiting_ns,
        busy_ns=fleet.cloud_busy_ns,
    )
    groups = {
        name: _group_totals(fleet.plans[name], accounts, lives.edges_ns, fleet.horizon_ns)
        for name, accounts in by_group.items()
    }
    return FleetTotals(lives.edges_ns, 1, groups, cloud)


def describe(plan: Plan) -> dict[str, Any]:
    """Return what summary.json says of a group but how many devices it has."""
    return {
        "network": plan.group.network.name,
        "schedule": plan.group.schedule.kind,
        "clean_accuracy": plan.spec_correct / plan.spec_pictures,
        "required_accuracy": plan.required_correct / plan.spec_pictures,
        "fixed_point": plan.model.formats_text(),
    }


def percentile(
    counted: Sequence[tuple[float, int]], n: int, percent: float, sure_below: float = math.inf
) -> float | None:
    """Return the percentile (linear interpolation, as numpy has it) of ``n`` values of which ``counted`` are known, ascending, with how many of each; None where it
    depends on values above ``sure_below``, the others being no lower.
    """
    at = (n - 1) * (percent / 100)
    values, ends = [value for value, _ in counted], np.cumsum([count for _, count in counted])
    low, high = (
        int(np.searchsorted(ends, k, side="right")) for k in (math.floor(at), math.floor(at) + (n > 1))
    )
    if high >= len(values) or values[high] > sure_below:
        return None
    share, step = at - math.floor(at), values[high] - values[low]
    return values[low] + step * share if share < 0.5 else values[high] - step * (1 - share)


def _group_totals(
    plan: Plan, accounts: Sequence[DeviceAccount], edges_ns: list[int], horizon_ns: int
) -> GroupTotals:
    samples: dict[int, list[Sample]] = {edge_ns: [] for edge_ns in edges_ns}
    spells: dict[str, Counter[int]] = {ending: Counter() for ending in ENDINGS}
    sent: Counter[str] = Counter()
    for account in accounts:
        for sample in account.observed.samples:
            samples[sample.time_ns].append(sample)
        for spell in silent_spells(account):
            spells[spell.ending][(spell.end_ns - spell.start_ns) // NS_PER_S] += 1
        sent.update(bytes_by_cause(account.events))
    counts = together(a.counts for a in accounts)
    extra = _exact(a.extra_wrong[:, None] for a in accounts)
    when_clean = 1 - Fraction(plan.spec_correct, plan.spec_pictures)
    inferences = counts[:, list(schema.COUNTS).index("inferences")].tolist()
    waited = waits([milestones(account) for account in accounts], horizon_ns)
    ends = [next((event.time_ns for event in a.events if event.kind == "retirement"), None) for a in accounts]
    known_ends = [end for end in ends if end is not None]
    return GroupTotals(
        describe(plan),
        len(accounts),
        together(a.time_ns for a in accounts).tolist(),
        counts.tolist(),
        [[n * when_clean + wrong, wrong] for n, (wrong,) in zip(inferences, extra, strict=True)],
        _exact(energy_by_cause(a, plan) for a in accounts),
        [SeenTotals.of(of_time) for of_time in samples.values()],
        {
            measure: [
                Counter(w.duration_ns for w in of_measure if w.happened is kind) for kind in (True, False)
            ]
            for measure, of_measure in waited.items()
        },
        spells,
        sent,
        len(known_ends),
        sum(known_ends),
        _bank_totals(plan, accounts),
    )


def _bank_totals(plan: Plan, accounts: Sequence[DeviceAccount]) -> list[BankTotals]:
    devices = [wear for wear in map(bank_wear, accounts) if wear]
    totals = []
    for number, bank in enumerate(plan.hardware.layout.banks):
        wear = [banks[number] for banks in devices]
        totals.append(
            BankTotals(
                bank.name,
                bank.n_cells,
                len(wear),
                _exact_sum(w.operations for w in wear),
                max((w.most_operations for w in wear), default=0),
                _exact_sum(w.expected_stuck for w in wear),
                sum(w.stuck for w in wear),
                max((w.stuck for w in wear), default=0),
                sum(w.expired for w in wear),
            )
        )
    return totals


def _exact(of_devices: Any) -> list[list[Fraction]]:
    """Return the exact sum of float arrays [periods, columns] of devices."""
    return [
        [_exact_sum(cell) for cell in zip(*rows, strict=True)]
        for rows in zip(*(a.tolist() for a in of_devices), strict=True)
    ]


def _exact_sum(numbers: Iterable[float]) -> Fraction:
    """Return the sum of floats without rounding."""
    ratios = [number.as_integer_ratio() for number in numbers]
    # Denominators are powers of two, so the largest is a multiple of each.
    common = max((denominator for _, denominator in ratios), default=1)
    return Fraction(sum(numerator * (common // denominator) for numerator, denominator in ratios), common)


# -- adding up --


def _merged(one: Any, other: Any) -> Any:
    values = []
    for item in fields(one):
        a, b = getattr(one, item.name), getattr(other, item.name)
        match item.metadata.get("merge"):
            case "same":
                if a != b:
                    raise ValueError(f"regions of different scenarios: {item.name} {a!r}, {b!r}")
                values.append(a)
            case "most":
                values.append(max(a, b))
            case "least":
                values.append(min(a, b))
            case _:
                values.append(_plus(a, b))
    return type(one)(*values)


def _plus(a: Any, b: Any) -> Any:
    match a:
        case Counter():
            summed = a.copy()
            summed.update(b)
            return summed
        case dict():
            if a.keys() != b.keys():
                raise ValueError(f"regions of different scenarios: {list(a)}, {list(b)}")
            return {key: _plus(a[key], b[key]) for key in a}
        case list():
            return [_plus(x, y) for x, y in zip(a, b, strict=True)]
        case int() | Fraction():
            return a + b
        case _:
            return _merged(a, b)


# -- as JSON: objects by the name of their class, whatever is no plain JSON value under a mark --


def _plain(value: Any) -> Any:
    match value:
        case Fraction():
            return {"/": [value.numerator, value.denominator]}
        case Counter():
            return {"#": sorted(value.items())}
        case dict():
            return {key: _plain(of_key) for key, of_key in value.items()}
        case list():
            return [_plain(item) for item in value]
        case None | str() | int() | float():
            return value
        case _:
            return {
                "@": [type(value).__name__, *(_plain(getattr(value, item.name)) for item in fields(value))]
            }


_CLASSES: dict[str, Callable[..., Any]] = {
    cls.__name__: cls for cls in (FleetTotals, GroupTotals, SeenTotals, BankTotals)
}


def _revived(value: dict[str, Any]) -> Any:
    match value:
        case {"/": [numerator, denominator]}:
            return Fraction(numerator, denominator)
        case {"#": items}:
            return Counter(dict(items))
        case {"@": [name, *values]}:
            return _CLASSES[name](*values)
        case _:
            return value
