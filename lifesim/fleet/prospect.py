"""What a device can expect of its own cells: what a nominal one's would do that has been written as often and has lived as warm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lifesim.crossbar.bank import Wear
from lifesim.crossbar.programming import Programmed
from lifesim.fleet.cells import endurance_of, read_disturb_of, retention_of, wear_of
from lifesim.fleet.silicon import Silicon
from lifesim.physics.distributions import LifeDistribution, failed_share
from lifesim.scenario.technology import Technology


@dataclass(frozen=True, slots=True)
class Prospect:
    """The limits of a nominal device's cells: ``wear`` in cycles, ``soft`` by the name of the mechanism; and the writes to a cell of a diagnosis
    together with the programming after it.

    A device counts its programmings and integrates its own temperature; it knows neither its place in the spread of its technology nor any fault.
    """

    wear: Wear
    soft: Mapping[str, LifeDistribution]
    writes_per_test: int

    @classmethod
    def of(cls, technology: Technology, writes_per_test: int) -> Prospect:
        """Return what devices of a technology can expect. Half-selects of neighbours are left out."""
        soft: dict[str, LifeDistribution] = {"retention": retention_of(technology)}
        if (by_reads := read_disturb_of(technology)) is not None:
            soft["read disturb"] = by_reads
        return cls(wear_of(technology, endurance_of(technology)), soft, writes_per_test)

    def expected_faults(
        self,
        silicon: Silicon,
        programmed: tuple[Programmed, ...],
        since_ns: int,
        time_ns: int,
        tests: int = 0,
    ) -> float:
        """Return how many cells are expected to become faulty in (since, time], both after the last programming by the device.

        Worn out, or with their state lost: the latter in resident banks alone, as the next reload cures them elsewhere. ``tests``: so many
        tests' writes, just before ``since_ns``, are counted as well.
        """
        expected = 0.0
        for bank, left in zip(silicon.banks, programmed, strict=True):
            before, after = bank.at(left, since_ns), bank.at(left, time_ns)
            worn = self.wear.exposure(before) - tests * self.writes_per_test * self.wear.cycles_per_operation
            share = failed_share(self.wear.limits, self.wear.exposure(after))
            share = share - failed_share(self.wear.limits, max(worn, 0.0))
            if bank.reload_period_ns is None:
                for mechanism in bank.soft:
                    if (limits := self.soft.get(mechanism.name)) is not None:
                        written = mechanism.reading(after.time_ns)
                        share = share + failed_share(limits, mechanism.reading(time_ns) - written)
                        share = share - failed_share(limits, mechanism.reading(since_ns) - written)
            expected += bank.n_cells * float(share)
        return expected
