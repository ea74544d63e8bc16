"""What a device writes into cells of which some are stuck: nearest codes, and other weights that make up for what these leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.faults import FaultMap
from lifesim.recovery.compensation import Correlations, compensated
from lifesim.recovery.nearest import nearest_codes

Codes = Sequence[np.ndarray]


@dataclass(frozen=True, slots=True)
class Fitting:
    """How devices of a group fit codes to their cells.

    ``correlations``: of the inputs of the network as deployed, by which errors are compensated; None: they are not. ``trained_from``: the first layer
    that retraining may move. Where it has moved any, it has made up for the errors of that layer and those after it, and nobody must do so twice.
    """

    correlations: Correlations | None = None
    trained_from: int = 0

    def deployed(self, codes: Codes, known: FaultMap) -> tuple[np.ndarray, ...]:
        """Return what is written of a network that was not retrained, for these stuck cells."""
        if self.correlations is None:
            return nearest_codes(codes, known)
        return compensated(codes, known, self.correlations)

    def retrained(self, codes: Codes, solved: FaultMap) -> tuple[np.ndarray, ...]:
        """Return what is written of a network that was retrained for these stuck cells: what the cloud reckons with."""
        nearest = nearest_codes(codes, solved)
        if self.correlations is None or not self.trained_from:
            return nearest
        return self.deployed(codes, solved)[: self.trained_from] + nearest[self.trained_from :]

    def held(self, codes: Codes, known: FaultMap, solved: FaultMap | None) -> tuple[np.ndarray, ...]:
        """Return what is written for ``known`` stuck cells of a network that was retrained for those that are ``solved``; None: it was not.

        What is compensated are errors against what the cloud reckoned with.
        """
        if self.correlations is None or solved is None:
            return self.deployed(codes, known)
        return self.deployed(self.retrained(codes, solved), known)
