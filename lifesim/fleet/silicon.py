"""The silicon of one device, and what its cells hold at any time: all of it without running a network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from lifesim.crossbar.bank import Bank, BankFaults
from lifesim.crossbar.encoding import BIAS, SLC, Encoding
from lifesim.crossbar.faults import FaultMap, differing_cells
from lifesim.crossbar.layerdrift import LayerDrift
from lifesim.crossbar.overlay import Ageing, Overlay, Written
from lifesim.crossbar.programming import Programmed
from lifesim.network.model import Model
from lifesim.recovery.fitting import Fitting
from lifesim.recovery.placement import Placement

NEAREST = Fitting()


@functools.lru_cache(maxsize=32)
def fitted(
    model: Model,
    fault_map: FaultMap,
    placement: Placement | None = None,
    fitting: Fitting = NEAREST,
    solved: FaultMap | None = None,
) -> Model:
    """Return the model with what is written of it into cells with these faults, its units at the places of ``placement``.

    ``solved``: the faults that it was retrained for; None: it was not. In the network's own order, whatever the placement. Worked out anew when it is
    needed, as a device has one for every map that it has known.
    """
    if not fault_map.count:
        return model
    if placement is not None:
        layer_cells = [codes.size * fault_map.encoding.cells_per_weight for codes in model.codes]
        fault_map = placement.logical_map(fault_map, layer_cells)
        solved = solved and placement.logical_map(solved, layer_cells)
    return model.with_codes(fitting.held(model.codes, fault_map, solved))


@functools.lru_cache(maxsize=32)
def _placed(model: Model, placement: Placement) -> Model:
    return placement.placed(model)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that decides a device's weights at any later time: the model in the backup and what the programmings left in each bank.

    ``fitted_to``: the stuck cells for which what they can hold is written instead of the backup's codes, by a ``fitting``; None where these are.
    ``placement``: where hidden units stand; None where all are in their own places. ``solved``: the stuck cells for which the backup was retrained.
    """

    silicon: Silicon
    backup: Model
    programmed: tuple[Programmed, ...]
    fitted_to: FaultMap | None = None
    placement: Placement | None = None
    fitting: Fitting = NEAREST
    solved: FaultMap | None = None

    @property
    def model(self) -> Model:
        """The network that is written into the cells, in its own order."""
        if self.fitted_to is None:
            return self.backup
        return fitted(self.backup, self.fitted_to, self.placement, self.fitting, self.solved)

    @property
    def image(self) -> Model:
        """What is written into the cells, in their order."""
        return self.model if self.placement is None else _placed(self.model, self.placement)

    def held_at(self, time_ns: int) -> Held:
        """Return what the cells hold at ``time_ns``."""
        return self.silicon.held_at(self.image, self.programmed, time_ns, self.placement)

    def conditions(self, times_ns: Sequence[int]) -> list[Condition]:
        """Return what is wrong at each time."""
        return self.silicon.conditions(self.image, self.programmed, times_ns, self.placement)

    def overlays(self, times_ns: Sequence[int], base: Model | None = None) -> Sequence[Overlay | Ageing]:
        """Return what stands over :attr:`model` at each time (see :meth:`Silicon.overlays`), over its cells in the network's own order.

        With a ``base``, what stands over that model: in which the one written differs from it, and then the faults.
        """
        beneath, image, encoding = None, self.image, self.silicon.encoding
        if base is not None and base.digest != self.model.digest:
            before = base if self.placement is None else _placed(base, self.placement)
            cells = differing_cells(before.codes, image.codes, encoding)
            beneath = [
                (Written(c, encoding.levels_of(codes, c)),)
                for c, codes in zip(cells, image.codes, strict=True)
            ]
        physical = self.silicon.overlays(self.programmed, times_ns, beneath)
        return physical if self.placement is None else list(map(self._in_own_order, physical))

    def _in_own_order(self, over: Overlay | Ageing) -> Overlay | Ageing:
        layers = [parts for parts, _ in over.layers] if isinstance(over, Ageing) else over
        moved = [tuple(self._moved(layer, part) for part in parts) for layer, parts in enumerate(layers)]
        if not isinstance(over, Ageing):
            return moved
        return Ageing([(parts, counts) for parts, (_, counts) in zip(moved, over.layers, strict=True)])

    def _moved(self, layer: int, part: Written) -> Written:
        per_weight = self.silicon.encoding.cells_per_weight
        layer_cells = self.backup.codes[layer].size * per_weight
        cells = part.cells.astype(np.int64) + part.first_cell
        levels = part.levels_from(0) if callable(part.levels) else part.levels
        return Written(self.placement.logical_cells(layer, cells, layer_cells, per_weight), levels)

    def at(self, time_ns: int) -> tuple[Programmed, ...]:
        """Return the state that the last programming of each bank left, reloads until ``time_ns`` included."""
        return self.silicon.at(self.programmed, time_ns)

    def lost_cells(self, time_ns: int) -> list[tuple[int, int]]:
        """Return how many cells of each bank are stuck at ``time_ns``, and how many have expired."""
        faults = self.held_at(time_ns).faults
        return [(len(of_bank.stuck), len(np.unique(of_bank.expired))) for of_bank in faults]

    def written_at(self, time_ns: int) -> tuple[int, np.ndarray]:
        """Return the programming operations of all cells together since the device was made, and those per cell of each bank
        that came from reloads (int64 [banks]).
        """
        now = self.at(time_ns)
        pairs = zip(self.silicon.banks, now, strict=True)
        writes = sum(b.n_cells * p.operations + p.extra.total for b, p in pairs)
        return writes, np.array([p.reloads for p in now], np.int64)


@dataclass(frozen=True, slots=True)
class Condition:
    """What is wrong with a device at a moment, without listing it.

    Equal ``key`` means equal weights, on one device. ``as_new``: whether they are those of the backup, on whatever device.
    """

    key: tuple
    stuck_cells: int
    expired_cells: int
    as_new: bool


@dataclass(frozen=True, slots=True)
class Held:
    """What the cells hold at one moment; all of it is worked out on demand.

    ``model``: what was written, in the order of the cells; ``placement``: where the network's units stand there.
    """

    model: Model
    silicon: Silicon
    programmed: tuple[Programmed, ...]  # reloads included
    time_ns: int
    placement: Placement | None = None

    @property
    def faults(self) -> tuple[BankFaults, ...]:
        """The faulty cells of each bank."""
        banks = zip(self.silicon.banks, self.programmed, strict=True)
        return tuple(bank.faults_at(p, self.time_ns) for bank, p in banks)

    @property
    def condition(self) -> Condition:
        return self.silicon.conditions(self.model, self.programmed, [self.time_ns], self.placement)[0]

    def overlay(self) -> Overlay:
        """Return what stands over what was written, layer by layer, in the order of the cells."""
        return self.silicon.overlay(self.programmed, self.time_ns)

    def codes(self) -> tuple[np.ndarray, ...]:
        """Return the codes (int16 per layer) in the order of the cells: those written, under the overlay."""
        write = self.silicon.encoding.write_over
        return tuple(write(c, over) for c, over in zip(self.model.codes, self.overlay(), strict=True))

    def weights(self, at_temperature: bool = False) -> tuple[np.ndarray, ...]:
        """Return what the network computes with: the codes (int16 per layer), or where these deviate, weights (float32 per layer).

        In its own order, wherever its units stand. ``at_temperature``: as read at the temperature of the moment, else at that of the programming.
        """
        weights = self._physical_weights(at_temperature)
        return weights if self.placement is None else self.placement.logical(weights)

    def _physical_weights(self, at_temperature: bool) -> tuple[np.ndarray, ...]:
        codes, silicon = self.codes(), self.silicon
        warming = silicon.warming if at_temperature else None
        if not silicon.drift and warming is None:
            return codes
        weights = []
        for layer, (held, fixed_point) in enumerate(zip(codes, self.model.formats, strict=True)):
            now, analog = self._now(layer), fixed_point.dequantise(held).reshape(-1)
            if silicon.drift:
                stuck = self._stuck(layer)
                deviation = silicon.drift[layer].deviation(now, self.time_ns, stuck, fixed_point.scale)
                analog = analog + deviation * np.float32(fixed_point.scale)
            if warming is not None:
                # The column's current changes in proportion; what is subtracted digitally, the bias of offset binary, does not.
                bias = np.float32(BIAS * fixed_point.scale if silicon.encoding.offset else 0.0)
                analog = analog + np.float32(warming.gain(now.time_ns, self.time_ns)) * (analog + bias)
            weights.append(analog.reshape(held.shape))
        return tuple(weights)

    def read_codes(self) -> tuple[np.ndarray, ...]:
        """Return the codes that a digital read sees, in the order of the cells: levels that have drifted too far are taken for others."""
        codes = self.codes()
        if not self.silicon.drift:
            return codes
        seen = []
        for layer, held in enumerate(codes):
            drift = self.silicon.drift[layer]
            cells, levels = drift.misread(self._now(layer), self.time_ns, held, self._stuck(layer))
            seen.append(self.silicon.encoding.write(held, cells, levels))
        return tuple(seen)

    def _now(self, layer: int) -> Programmed:
        return self.programmed[self.silicon.regions[layer][0].bank]

    def _stuck(self, layer: int) -> np.ndarray:
        regions, banks = self.silicon.regions[layer], self.silicon.banks
        stuck = [banks[r.bank].stuck_at(self.programmed[r.bank], self.time_ns)[0] for r in regions]
        return np.concatenate(
            [cells.astype(np.int64) + r.first_cell for cells, r in zip(stuck, regions, strict=True)]
        )


@dataclass(frozen=True, slots=True)
class Warming:
    """How conductances change with temperature: by ``per_k`` (what the references have not tracked away) for each kelvin since programming.

    ``temperature_c``: of the cells, by the time in ns.
    """

    per_k: float
    temperature_c: Callable[[int], float]

    def gain(self, programmed_ns: int, time_ns: int) -> float:
        """Return the relative change of conductances at a time."""
        return self.per_k * (self.temperature_c(time_ns) - self.temperature_c(programmed_ns))


class Region(NamedTuple):
    """Cells of a layer that lie in one bank: the bank, and the layer's index of the bank's first cell."""

    bank: int
    first_cell: int


@dataclass(frozen=True, slots=True)
class Silicon:
    """The banks of one device.

    ``regions``: for each layer, where its cells lie, in order. Layers that share cells share a bank: a stuck cell
    touches every layer that passes through it. ``drift``: of each layer, or empty where levels do not drift. ``warming``: None where reads do not
    depend on the temperature.
    """

    banks: tuple[Bank, ...]
    regions: tuple[tuple[Region, ...], ...]
    encoding: Encoding = SLC
    drift: tuple[LayerDrift, ...] = ()
    warming: Warming | None = None

    @classmethod
    def of_layers(cls, banks: Sequence[Bank], encoding: Encoding = SLC) -> Silicon:
        """Return the silicon in which every layer has a bank to itself."""
        return cls(tuple(banks), tuple((Region(i, 0),) for i in range(len(banks))), encoding)

    def at(self, programmed: tuple[Programmed, ...], time_ns: int) -> tuple[Programmed, ...]:
        """Return the last programming of each bank at or before a time, reloads included, given what the interventions left."""
        return tuple(b.at(p, time_ns) for b, p in zip(self.banks, programmed, strict=True))

    def broken_off(
        self, programmed: tuple[Programmed, ...], done_ns: int, latency_ns: int
    ) -> tuple[Programmed, ...]:
        """Return what is left of a programming of all cells, bank after bank, that ends after ``done_ns`` of ``latency_ns``: what was written is worn.

        The bank in progress counts as written.
        """
        cells = [bank.n_cells * bank.layers for bank in self.banks]
        before = np.cumsum([0, *cells[:-1]]).tolist()
        return tuple(
            p.worn(bank.layers) if first * latency_ns < done_ns * sum(cells) else p
            for bank, p, first in zip(self.banks, programmed, before, strict=True)
        )

    def held_at(
        self,
        model: Model,
        programmed: tuple[Programmed, ...],
        time_ns: int,
        placement: Placement | None = None,
    ) -> Held:
        return Held(model, self, self.at(programmed, time_ns), time_ns, placement)

    def conditions(
        self,
        model: Model,
        programmed: tuple[Programmed, ...],
        times_ns: Sequence[int],
        placement: Placement | None = None,
    ) -> list[Condition]:
        """Return what is wrong at each time, where ``model`` was written and the network's units stand so."""
        banks = list(zip(self.banks, programmed, strict=True))
        found = []
        for time_ns, keys in zip(
            times_ns, zip(*(bank.faults_keys(p, times_ns) for bank, p in banks), strict=True), strict=True
        ):
            counts = [bank.count_faulty(p, time_ns, key) for (bank, p), key in zip(banks, keys, strict=True)]
            stuck, expired = (sum(of_banks) for of_banks in zip(*counts, strict=True))
            drifting: tuple[object, ...] = ()
            if self.drift:
                now = (bank.at(p, time_ns) for bank, p in banks)
                drifting = (time_ns, *((p.time_ns, p.epoch) for p in now))
            as_new = not (self.drift or stuck or expired or any(key.unwritten for key in keys))
            written = (model.digest,) if placement is None else (model.digest, placement.digest)
            found.append(Condition((*written, *keys, *drifting), stuck, expired, as_new))
        return found

    def overlay(
        self, programmed: tuple[Programmed, ...], time_ns: int, beneath: Overlay | None = None
    ) -> Overlay:
        """Return what stands over the backup at one time. ``beneath``: what lies beneath all of it."""
        parts = [bank.overlay(p, time_ns) for bank, p in zip(self.banks, programmed, strict=True)]
        return [
            (*under, *(_from(first, p) for bank, first in regions for p in parts[bank]))
            for regions, under in zip(self.regions, beneath or self._nothing, strict=True)
        ]

    def overlays(
        self, programmed: tuple[Programmed, ...], times_ns: Sequence[int], beneath: Overlay | None = None
    ) -> Sequence[Overlay | Ageing]:
        """Return :meth:`overlay` of many times: together in one where that can be, else one after the other."""
        if not times_ns:
            return []
        first = self._ageing(programmed, times_ns, beneath)
        if first is not None:
            return [first]
        # Often only the first time stands in the way, at which cells written alone have not been reloaded yet.
        rest = self._ageing(programmed, times_ns[1:], beneath) if len(times_ns) > 1 else None
        one_by_one = times_ns if rest is None else times_ns[:1]
        overlays = [self.overlay(programmed, time_ns, beneath) for time_ns in one_by_one]
        return overlays if rest is None else [*overlays, rest]

    def _ageing(
        self, programmed: tuple[Programmed, ...], times_ns: Sequence[int], beneath: Overlay | None
    ) -> Ageing | None:
        """Return what stands over the backup at many times as an ageing; None where it is none."""
        aged = []
        for bank, p in zip(self.banks, programmed, strict=True):
            aged.append(bank.ageing(p, times_ns))
            if aged[-1] is None:
                return None
        layers = []
        for regions, under in zip(self.regions, beneath or self._nothing, strict=True):
            under = [part for part in under if len(part.cells)]
            parts = [_from(first, p) for bank, first in regions for p in aged[bank][0]]
            counts = [aged[bank][1] for bank, _ in regions]
            if under:
                always = np.array([len(part.cells) for part in under], np.int64)
                counts.insert(0, np.broadcast_to(always, (len(times_ns), len(under))))
            layers.append(
                ((*under, *parts), counts[0] if len(counts) == 1 else np.concatenate(counts, axis=1))
            )
        return Ageing(layers)

    @property
    def _nothing(self) -> Overlay:
        return ((),) * len(self.regions)

    def stuck_map(self, programmed: tuple[Programmed, ...], time_ns: int) -> FaultMap:
        """Return the stuck cells: what a March test finds, as tests show, where no write fails."""
        stuck = [b.stuck_at(p, time_ns) for b, p in zip(self.banks, programmed, strict=True)]
        return self.map_of(stuck)

    def named_by_reload(self, model: Model, programmed: tuple[Programmed, ...], time_ns: int) -> FaultMap:
        """Return the cells on which write-verify has given up at the last reload of each bank: they hold another level than ``model`` has there.

        Stuck cells of another level than any layer that passes through them wants, with that level, and cells that took too many pulses. Banks that are
        never reloaded name none; the first programming counts as a reload.
        """
        found = []
        for number, (bank, left) in enumerate(zip(self.banks, programmed, strict=True)):
            if bank.reload_period_ns is None:
                found.append((np.empty(0, np.int32), np.empty(0, np.uint8)))
                continue
            now = bank.at(left, time_ns)
            cells, levels = bank.stuck_at(now, now.time_ns)
            unwritten = bank.unwritten(now)
            unwritten = unwritten[~np.isin(unwritten, cells)]
            cells = np.concatenate([cells, unwritten])
            levels = np.concatenate([levels, np.zeros(len(unwritten), np.uint8)])
            harm = np.zeros(len(cells), bool)
            for regions, codes in zip(self.regions, model.codes, strict=True):
                for region in regions:
                    if region.bank == number:
                        wanted = self.encoding.levels_of(codes, cells.astype(np.int64) + region.first_cell)
                        harm |= wanted != levels
            found.append((cells[harm], levels[harm]))
        return self.map_of(found)

    def map_of(self, of_banks: Sequence[tuple[np.ndarray, np.ndarray]]) -> FaultMap:
        """Return cells and levels of each bank as a map of the layers that lie there."""
        return map_of_layers(self.regions, of_banks, self.encoding)

    def cells_of_bank(self, cells: Sequence[np.ndarray], bank: int) -> np.ndarray:
        """Return which cells of a bank (int64, sorted) lie under cells (sorted) of the layers."""
        n = self.banks[bank].n_cells
        found = [np.empty(0, np.int64)]
        for layer, regions in enumerate(self.regions):
            for region in regions:
                if region.bank == bank:
                    begin, end = np.searchsorted(cells[layer], (region.first_cell, region.first_cell + n))
                    found.append(cells[layer][begin:end] - region.first_cell)
        return np.unique(np.concatenate(found))


def _from(first_cell: int, part: Written) -> Written:
    """Return a part of a bank as one of the layer of which that cell is the bank's first."""
    return replace(part, first_cell=first_cell) if first_cell else part


def map_of_layers(
    regions: Sequence[Sequence[Region]], of_banks: Sequence[tuple[np.ndarray, np.ndarray]], encoding: Encoding
) -> FaultMap:
    """Return cells and levels of each bank as a map of the layers whose ``regions`` lie there."""
    if not any(len(cells) for cells, _ in of_banks):
        return FaultMap.empty(len(regions), encoding)
    cells = [np.concatenate([of_banks[r.bank][0] + r.first_cell for r in layer]) for layer in regions]
    levels = [np.concatenate([of_banks[r.bank][1] for r in layer]) for layer in regions]
    return FaultMap.of(cells, levels, encoding)
