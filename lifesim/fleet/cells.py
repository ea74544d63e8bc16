"""From a scenario's technology to the cells of one device: where its layers lie, and how each bank of cells ages. No network is run here."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from lifesim.crossbar.bank import Defect, Wear
from lifesim.crossbar.cost import OperationCosts
from lifesim.crossbar.drift import ConductanceDrift, Drift, WeightDrift
from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.fabrication import (
    FabricationDefects,
    LineEvent,
    LineFailures,
    line_events,
    lines_in_order,
)
from lifesim.crossbar.layerdrift import LayerDrift
from lifesim.crossbar.soft import ReadDisturb, Retention, SoftMechanism, WriteDisturb
from lifesim.crossbar.tiles import TILE_SIDE, Tiling
from lifesim.crossbar.verify import WriteVerify
from lifesim.fleet.silicon import Region
from lifesim.network.architecture import CrossbarLayer
from lifesim.physics.distributions import LifeDistribution, Lognormal, Weibull
from lifesim.physics.disturb import PulsesToDisturb
from lifesim.physics.temperature import AgeingClock
from lifesim.scenario.technology import Technology

OPERATION_COSTS = "isaac_slc"
REFERENCE_READ_V = 0.2  # at which a technology states its median number of disturbing pulses


@dataclass(frozen=True, slots=True)
class BankPlan:
    """One bank of cells: what it is called, its cells in crossbars, the layers that pass through it, and how often (0: resident).

    ``last_of``: how many of these layers end in it.
    """

    name: str
    tiling: Tiling
    n_cells: int
    layers: tuple[int, ...]
    reloads_per_day: float
    last_of: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the layers of a network lie: the banks, and of each layer the regions of banks that it fills, in order."""

    banks: tuple[BankPlan, ...]
    regions: tuple[tuple[Region, ...], ...]


def make_layout(
    layers: Sequence[CrossbarLayer],
    encoding: Encoding,
    reloads_per_day: dict[str, float],
    shared: Sequence[Sequence[str]] = (),
) -> Layout:
    """Return the layout of ``layers``; those named together in ``shared`` take turns in the same cells.

    Every cell of a bank has the same history. Layers of different sizes that share cells do so from the first cell on, so their common
    cells fall into as many banks as there are sizes: the first is passed by all layers, the last by the largest alone.
    """
    number = {layer.name: i for i, layer in enumerate(layers)}
    cells = [layer.weights * encoding.cells_per_weight for layer in layers]
    banks: list[BankPlan] = []
    regions: list[tuple[Region, ...]] = [()] * len(layers)
    in_turn = [sorted((number[name] for name in names), key=lambda i: (cells[i], i)) for names in shared]
    alone = [[i] for i in range(len(layers)) if not any(i in together for together in in_turn)]
    for together in sorted(in_turn + alone, key=min):
        done = 0
        passed: tuple[Region, ...] = ()
        for position, i in enumerate(together):
            if cells[i] > done:
                name = "+".join(layers[j].name for j in sorted(together[position:]))
                n_cells = cells[i] - done
                # Cells that layers share fill crossbars one after the other; a layer of its own lies there as a matrix.
                tiling = (
                    Tiling(layers[i].fan_in, layers[i].fan_out * encoding.cells_per_weight)
                    if len(together) == 1
                    else Tiling(-(-n_cells // TILE_SIDE), TILE_SIDE)
                )
                last_of = sum(cells[j] == cells[i] for j in together)
                users = tuple(sorted(together[position:]))
                reloads = reloads_per_day.get(layers[i].name, 0.0)
                passed = (*passed, Region(len(banks), done))
                banks.append(BankPlan(name, tiling, n_cells, users, reloads, last_of))
                done = cells[i]
            regions[i] = passed
    return Layout(tuple(banks), tuple(regions))


def encoding_of(technology: Technology) -> Encoding:
    """Return how a weight lies in the cells."""
    offset = technology.encoding == "offset_binary" or (
        technology.encoding is None and technology.bits_per_cell == 2
    )
    return Encoding(technology.bits_per_cell, offset)


def write_verify_of(technology: Technology) -> WriteVerify:
    """Return how the cells are written."""
    mean = technology.verify_pulses_mean
    if mean is None:
        mean = OperationCosts.preset(OPERATION_COSTS).verify_pulses
    return _write_verify(mean, technology.verify_pulses_most)


@functools.cache
def _write_verify(mean_pulses: float, most_pulses: int) -> WriteVerify:
    """Return the way of writing, one for all who write so."""
    return WriteVerify(mean_pulses, most_pulses)


def endurance_of(technology: Technology) -> LifeDistribution:
    """Return the distribution of the endurance of a nominal device's cells, in cycles."""
    weibull = technology.endurance_distribution == "weibull"
    family, shape = (
        (Weibull, technology.endurance_shape) if weibull else (Lognormal, technology.endurance_sigma_ln)
    )
    if technology.endurance_tail_ppm is not None:
        return family.through(technology.endurance_tail_ppm * 1e-6, technology.endurance_tail_cycles, shape)
    return family(technology.endurance_scale_cycles if weibull else technology.endurance_median_cycles, shape)


def retention_of(technology: Technology) -> Lognormal:
    """Return the distribution of the retention of a nominal device's cells, in s at the reference temperature."""
    return Lognormal(technology.retention_median_s, technology.retention_sigma_ln)


def read_disturb_of(technology: Technology) -> Lognormal | None:
    """Return the distribution of the read pulses that disturb a nominal device's cells; None where reads do not disturb."""
    if technology.disturb_median_pulses is None:
        return None
    return PulsesToDisturb(
        technology.disturb_median_pulses,
        REFERENCE_READ_V,
        technology.disturb_volts_per_decade,
        technology.disturb_sigma_ln,
        technology.read_voltage_sigma_v,
    ).limits(technology.read_voltage_v)


@functools.cache
def _cycles_per_write(write: WriteVerify, pulse_share: float) -> float:
    return 1.0 + pulse_share * (write.pulses_per_cell - 1.0)


def wear_of(technology: Technology, limits: LifeDistribution) -> Wear:
    """Return what programming does to cells with these limits."""
    per_write = _cycles_per_write(write_verify_of(technology), technology.verify_pulse_wear_share)
    return Wear(
        limits,
        technology.wear_stuck_at_1_share,
        technology.wear_stuck_between_share if technology.bits_per_cell == 2 else 0.0,
        per_write,
        per_write * technology.reload_wear_share,
    )


@dataclass(frozen=True, slots=True)
class Factors:
    """A device's own place in the spread of its technology: what the limits of all its cells are multiplied with."""

    endurance: float = 1.0
    retention: float = 1.0
    disturb: float = 1.0

    @classmethod
    def of(cls, technology: Technology, z: np.ndarray) -> Factors:
        """Return the factors of the device with these three unit normals."""
        sigmas = (
            technology.endurance_spread_sigma_ln,
            technology.retention_spread_sigma_ln,
            technology.disturb_spread_sigma_ln,
        )
        return cls(*(float(np.exp(sigma * own)) for sigma, own in zip(sigmas, z, strict=True)))


def retention(technology: Technology, factors: Factors, clock: AgeingClock) -> Retention:
    """Return how time makes the cells of a device lose their state; ``clock``: seconds at the reference temperature of the technology."""
    return Retention(
        retention_of(technology).scaled(factors.retention),
        technology.retention_cell_share,
        int(technology.retention_fails_to == "lrs"),
        clock,
        technology.soft_fault_step == "level",
    )


def disturbs(
    technology: Technology, factors: Factors, pulses: Callable[[int], float], tiling: Tiling
) -> tuple[SoftMechanism, ...]:
    """Return how reading and writing make the cells of a bank lose their state.

    Parameters
    ----------
    pulses : read pulses of a cell of the bank since the start, by the time in ns
    tiling : where the bank's cells lie
    """
    one_level = technology.soft_fault_step == "level"
    mechanisms: list[SoftMechanism] = []
    if (by_reads := read_disturb_of(technology)) is not None:
        mechanisms.append(
            ReadDisturb(
                by_reads.scaled(factors.disturb),
                technology.disturb_cell_share,
                int(technology.disturb_fails_to == "lrs"),
                pulses,
                one_level,
            )
        )
    if technology.half_select_median is not None:
        mechanisms.append(
            WriteDisturb(
                Lognormal(technology.half_select_median, technology.half_select_sigma_ln).scaled(
                    factors.disturb
                ),
                technology.disturb_cell_share,
                int(technology.half_select_fails_to == "lrs"),
                tiling,
                write_verify_of(technology).pulses_per_cell,
                one_level,
            )
        )
    return tuple(mechanisms)


def factory_defects(technology: Technology, key: int, plan: BankPlan) -> Defect | None:
    """Return what fabrication and repair have left broken in a bank; None where that is nothing."""
    if not technology.fabrication_rate:
        return None
    clustering = math.inf if technology.fabrication_clustering is None else technology.fabrication_clustering
    defects = FabricationDefects(
        technology.fabrication_rate, technology.fabrication_stuck_at_1_share, clustering
    )
    cells, low_resistance = defects.draw(key, plan.tiling)
    return _defect(0, cells, low_resistance, plan, encoding_of(technology))


def line_defects(
    technology: Technology, key: int, plans: Sequence[BankPlan], born_ns: int, horizon_ns: int
) -> list[list[Defect]]:
    """Return the lines that fail in each bank of a device from its birth up to the horizon, in order of time."""
    if not technology.line_failures_per_year:
        return [[] for _ in plans]
    tilings = [plan.tiling for plan in plans]
    events = line_events(key, _line_failures(technology), tilings, horizon_ns - born_ns)
    return _by_bank(events, technology, plans, born_ns)


def first_lines(
    technology: Technology, key: int, plans: Sequence[BankPlan], count: int
) -> list[list[Defect]]:
    """Return the first ``count`` lines to fail, by bank, of a device whose lines do fail."""
    events = lines_in_order(key, _line_failures(technology), [plan.tiling for plan in plans])
    return _by_bank(islice(events, count), technology, plans, 0)


def _line_failures(technology: Technology) -> LineFailures:
    return LineFailures(
        technology.line_failures_per_year, technology.line_word_share, technology.line_stuck_at_1_share
    )


def _by_bank(
    events: Iterable[LineEvent], technology: Technology, plans: Sequence[BankPlan], born_ns: int
) -> list[list[Defect]]:
    found: list[list[Defect]] = [[] for _ in plans]
    for event in events:
        plan, low_resistance = plans[event.bank], np.full(len(event.cells), event.lrs)
        defect = _defect(born_ns + event.time_ns, event.cells, low_resistance, plan, encoding_of(technology))
        found[event.bank].append(defect)
    return found


def layer_drift(
    technology: Technology,
    encoding: Encoding,
    layers: Sequence[CrossbarLayer],
    keys: Sequence[int],
    clock: AgeingClock,
) -> tuple[LayerDrift, ...]:
    """Return how the levels of each layer's cells drift; nothing where they do not."""
    drift: Drift | WeightDrift
    match technology.drift:
        case "none":
            return ()
        case "conductance":
            drift = ConductanceDrift(
                technology.drift_mean_us,
                technology.drift_sd_1s_us,
                technology.drift_sd_us,
                technology.drift_span_us / encoding.top_level,
            )
        case "weight":
            drift = WeightDrift(technology.drift_theta, technology.drift_theta_reached_s)
    return tuple(
        LayerDrift(key, drift, clock, encoding, layer.weights, technology.reference_column)
        for key, layer in zip(keys, layers, strict=True)
    )


def _defect(
    time_ns: int, cells: np.ndarray, low_resistance: np.ndarray, plan: BankPlan, encoding: Encoding
) -> Defect:
    there = cells < plan.n_cells  # the last row of crossbars may not be full
    levels = np.where(low_resistance[there], encoding.top_level, 0).astype(np.uint8)
    return Defect(time_ns, cells[there].astype(np.int32), levels)
