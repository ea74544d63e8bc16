"""The dense layers at a network's end, by themselves: what enters them is worked out once, then many copies of them are trained on it.

Where the layers before stay as they are, a step of training costs a hundredth of one through the whole network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lifesim.errors import UserError
from lifesim.network.architecture import Architecture, Conv, Dense, Relu, Step
from lifesim.network.forward import to_input
from lifesim.network.training import convolved

_PICTURES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Tail:
    """The steps of a network from its crossbar layer ``first`` on, all of them dense layers and ReLUs; ``steps`` are those before and these."""

    first: int
    before: tuple[Step, ...]
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, architecture: Architecture, first: int | None = None) -> Tail:
        """Return the tail from crossbar layer ``first`` on; by default the longest. Raises UserError if the network does not end in dense layers."""
        steps = architecture.steps
        start = len(steps)
        while start and isinstance(steps[start - 1], Dense | Relu):
            start -= 1
        places = [i for i, step in enumerate(steps) if isinstance(step, Dense | Conv)]
        longest = next((layer for layer, i in enumerate(places) if i >= start), None)
        if longest is None:
            raise UserError(f"network {architecture.name} does not end in dense layers")
        chosen = longest if first is None else first
        if chosen < longest:
            raise ValueError(
                f"layer {chosen} is not among the dense ones at the end, which begin with {longest}"
            )
        return cls(chosen, steps[: places[chosen]], steps[places[chosen] :])

    def enters(
        self,
        architecture: Architecture,
        weights: Sequence[np.ndarray],
        biases: Sequence[np.ndarray],
        pictures: np.ndarray,
        device: str = "cpu",
    ) -> torch.Tensor:
        """Return what enters the tail, float32 [m, features], of a copy with ``weights`` [fan_in, fan_out] and ``biases`` per layer."""
        before = [torch.tensor(w, device=device) for w in weights[: self.first]]
        added = [torch.tensor(b, device=device) for b in biases[: self.first]]
        parts = [
            convolved(self.before, before, added, x).flatten(1)
            for first in range(0, len(pictures), _PICTURES_AT_ONCE)
            for x in [to_input(architecture, pictures[first : first + _PICTURES_AT_ONCE], device)]
        ]
        return torch.cat(parts)

    def gradients(
        self,
        x: torch.Tensor,
        weights: Sequence[torch.Tensor],
        biases: Sequence[torch.Tensor],
        wanted: torch.Tensor,
    ) -> list[torch.Tensor]:
        """Return the gradients of the mean cross-entropy of each of K copies in the weights [K, fan_in, fan_out] of all layers.

        ``x`` [K, m, features]; ``biases`` [K, fan_out]; ``wanted`` [K, m, classes]: probabilities, of which the ones of labels are a case.
        """
        inputs: list[torch.Tensor] = []  # of dense layers
        shut: list[torch.Tensor | None] = []  # where a ReLU before a layer lets nothing through
        blocked = None
        for step in self.steps:
            if isinstance(step, Dense):
                inputs.append(x)
                shut.append(blocked)
                blocked = None
                layer = len(inputs) - 1
                x = torch.baddbmm(biases[layer].unsqueeze(1), x, weights[layer])
            else:
                x = x.clamp_min(0.0)
                blocked = x <= 0
        back = torch.softmax(x, dim=2).sub_(wanted).div_(x.shape[1])
        if blocked is not None:
            back = back.masked_fill(blocked, 0.0)
        gradients = []
        for layer in reversed(range(len(inputs))):
            gradients.append(torch.bmm(inputs[layer].transpose(1, 2), back))
            if layer:
                back = torch.bmm(back, weights[layer].transpose(1, 2))
                if shut[layer] is not None:
                    back = back.masked_fill(shut[layer], 0.0)
        return gradients[::-1]
