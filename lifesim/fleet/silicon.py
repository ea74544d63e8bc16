"""The silicon of one device, and what its cells hold at any time: all of it without running a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.ageing import Bank, BankFaults, Programmed
from lifesim.crossbar.faults import FaultMap, write_bits
from lifesim.network.model import Model


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that decides a device's weights at any later time: the model in the backup and what the last programming left in each bank."""

    silicon: Silicon
    model: Model
    programmed: tuple[Programmed, ...]

    def held_at(self, time_ns: int) -> Held:
        """Return what the cells hold at ``time_ns``."""
        return self.silicon.held_at(self.model, self.programmed, time_ns)

    def operations_at(self, time_ns: int) -> np.ndarray:
        """Return the programming operations per cell of each bank since the device was made (int64 [banks])."""
        return np.array(
            [b.at(p, time_ns).operations for b, p in zip(self.silicon.banks, self.programmed, strict=True)]
        )


@dataclass(frozen=True, slots=True)
class Held:
    """The faults of one moment; ``codes`` are worked out on demand. Equal ``key`` means equal codes, on one device."""

    model: Model
    faults: tuple[BankFaults, ...]
    expired_value: int

    @property
    def key(self) -> tuple:
        return (self.model.digest, *(f.signature for f in self.faults))

    @property
    def stuck_cells(self) -> int:
        return sum(len(f.stuck) for f in self.faults)

    @property
    def expired_cells(self) -> int:
        return sum(len(f.expired) for f in self.faults)

    def codes(self) -> tuple[np.ndarray, ...]:
        """Return the codes (int16 per layer): the backup's, with expired cells at their end state and stuck cells at their value."""
        held = []
        for codes, faults in zip(self.model.codes, self.faults, strict=True):
            if len(faults.expired):
                codes = write_bits(
                    codes, faults.expired, np.full(len(faults.expired), self.expired_value, np.uint8)
                )
            held.append(write_bits(codes, faults.stuck, faults.stuck_values) if len(faults.stuck) else codes)
        return tuple(held)


@dataclass(frozen=True, slots=True)
class Silicon:
    """The banks of one device, one a layer."""

    banks: tuple[Bank, ...]

    def held_at(self, model: Model, programmed: tuple[Programmed, ...], time_ns: int) -> Held:
        faults = tuple(b.faults_at(p, time_ns) for b, p in zip(self.banks, programmed, strict=True))
        return Held(model, faults, self.banks[0].retention.fails_to)

    def stuck_map(self, programmed: tuple[Programmed, ...]) -> FaultMap:
        """Return what a March test finds: the stuck cells (proven equal to running one on a simulated array)."""
        stuck = [b.stuck_at(p.operations) for b, p in zip(self.banks, programmed, strict=True)]
        return FaultMap.of(stuck, [b.stuck_values(s) for b, s in zip(self.banks, stuck, strict=True)])
