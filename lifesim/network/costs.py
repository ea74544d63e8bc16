"""What it costs to evaluate a state by walking to it, and by multiplying everything anew: which of two exact ways is faster."""

from __future__ import annotations

import numpy as np

from lifesim.network import kernels as k
from lifesim.network.changes import Changes
from lifesim.network.program import Program

# Nanoseconds of one core for a piece of pictures, fitted to times of LeNet, an MLP and ConvNet-quick with 0.002 % to 1.5 % of cells stuck. Only
# ratios count: close to where the two ways take equally long, it matters little which is taken. Successive states are taken to begin anew at the model.
_WALK_STATE, _MULTIPLY_STATE = 5000.0, 2000.0  # whatever changes
_WALK_CONV, _WALK_DENSE = 0.75, 1.2  # a weight at one position, behind an input that changes
_WALK_NEW_CONV, _WALK_NEW_DENSE = 2.0, 38.0  # a weight that changes, at one position
_MULTIPLY = 0.5  # a weight at one position
_EXCHANGE = 4.0  # a weight that changes, to and fro
_CORRECT = 5.0  # a weight of the first layer, or of a convolution behind it, that changes, at one position


def walking_is_faster(
    program: Program, changes: Changes, visited: np.ndarray, *, starts: bool = False
) -> bool:
    """Return whether states are sooner walked to than multiplied; ``starts``: a walk has to work out first where it begins.

    Told from how many weights change from one visited state to the next; they are taken to be spread evenly.
    """
    if not len(visited):
        return True
    changed = _changed(changes, visited)
    walk, multiply = _WALK_STATE * len(visited), _MULTIPLY_STATE * len(visited)
    share = np.zeros(len(visited))  # of the inputs that change
    for number, (layer, count) in enumerate(zip(program.layers.tolist(), changed.T, strict=True)):
        positions, outputs = layer[k.OUT_ROWS] * layer[k.OUT_COLUMNS], layer[k.OUTPUTS]
        macs = (program.first_weights[number + 1] - program.first_weights[number]) * positions
        behind, new = (
            (_WALK_CONV, _WALK_NEW_CONV) if layer[k.KIND] == k.CONV else (_WALK_DENSE, _WALK_NEW_DENSE)
        )
        walk += behind * float(share.sum()) * macs + new * float(count.sum()) * positions
        if starts:
            walk += behind * macs
        anew = np.full(len(count), _MULTIPLY * macs)
        if not number or number == 1 and layer[k.KIND] == k.CONV:
            anew = np.minimum(anew, _MULTIPLY * macs * share + _CORRECT * count * positions)
        multiply += float((_EXCHANGE * count + anew).sum())
        share = np.where(share > 0, 1.0, 1.0 - (1.0 - 1.0 / outputs) ** count)
    return walk <= multiply


def _changed(changes: Changes, visited: np.ndarray) -> np.ndarray:
    """Return how many weights of each layer change on the way to each visited state (int64 [visited, layers])."""
    counts = changes.bounds[:, 1:] - changes.bounds[:, :-1]
    if changes.independent:
        return counts[visited]
    return np.add.reduceat(counts[: visited[-1] + 1], np.concatenate([[0], visited[:-1] + 1]), axis=0)
