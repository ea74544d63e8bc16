"""What no device knows: whether it is in spec. For the oracle alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.fleet.silicon import Snapshot
from lifesim.network.answers import right_of_copies, right_of_states
from lifesim.network.changes import Transitions
from lifesim.network.datasets import load_dataset
from lifesim.network.model import Model
from lifesim.scenario.network import DataSource


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Noise-free accuracy at the temperature of the programming, on all spec pictures: ``required`` of them must be right.

    ``model``: what devices are deployed with. ``plain``: on the plain path alone, as where all levels drift; the answers are the same.
    """

    model: Model
    encoding: Encoding
    source: DataSource
    required: int
    torch_device: str = "cpu"
    plain: bool = False

    def in_spec(self, snapshot: Snapshot, times_ns: Sequence[int]) -> list[bool]:
        """Return whether a device is in spec at each time."""
        pictures, labels = load_dataset(self.source).part("spec")
        if self.plain or snapshot.silicon.drift:
            copies = [snapshot.held_at(time_ns).weights() for time_ns in times_ns]
            right = right_of_copies(self.model, copies, pictures, labels, self.torch_device)
        else:
            overlays = snapshot.overlays(times_ns, self.model)
            changes = Transitions(self.model, self.encoding).between(overlays, independent=False)
            which = np.arange(len(times_ns))
            right = right_of_states(
                self.model, self.encoding, changes, which, pictures, labels, self.torch_device
            )
        return (right.sum(axis=1) >= self.required).tolist()
