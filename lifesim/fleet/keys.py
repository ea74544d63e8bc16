"""The streams of one device: what names them, and what leaves them as they are."""

from __future__ import annotations

from typing import NamedTuple

from lifesim.scenario.models import Scenario
from lifesim.streams import stream_key


class Draw(NamedTuple):
    """One draw of all that is random: the scenario's seed, the replication and the region. Another replication, or region, is other silicon, other weather,
    the same networks.
    """

    seed: int
    replication: int = 0
    region: int = 0

    @property
    def parts(self) -> tuple[int | str, ...]:
        """What its keys begin with. Those of the first region have no number of it in them: they are older than the others."""
        return (self.seed, self.replication, *(("region", self.region) if self.region else ()))


def draw_of(scenario: Scenario) -> Draw:
    """Return what a scenario draws by; of several regions, that of the first."""
    return Draw(scenario.seed, scenario.replication, scenario.regions.first)


def device_key(draw: Draw, group: str, slot: int, *purpose: str, generation: int = 0) -> int:
    """Return the key of a stream of one device: the same whatever the schedule, the policy, or other groups.

    ``generation`` counts the devices in the slot: a replacement is the next one. What belongs to the place has that of the first.
    """
    return stream_key(*draw.parts, group, slot, generation, *purpose)


def group_key(draw: Draw, group: str, *purpose: str) -> int:
    """Return the key of a stream that the devices of a group share."""
    return stream_key(*draw.parts, group, "all", *purpose)


def cloud_key(draw: Draw, purpose: str) -> int:
    """Return the key of a stream of what all devices share."""
    # That of the first replication has no number in it: it is older than the others.
    return stream_key(*draw.parts, purpose) if any(draw[1:]) else stream_key(draw.seed, purpose)
