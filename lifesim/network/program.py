"""An architecture as the compiled kernels see it: where every activation lies, and what is done to it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from lifesim.network import kernels as k
from lifesim.network.architecture import Architecture, AvgPool, Conv, Dense, MaxPool, Relu


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Tables int64 of crossbar layers and of what stands between them (columns: :mod:`lifesim.network.kernels`).

    ``size``: floats of all activations of a piece; ``shifted``: of a channel, once for every column of the kernel; ``flags``: things that can be marked as changed; ``answer``: where the logits lie.
    """

    layers: np.ndarray
    ops: np.ndarray
    size: int
    shifted: int
    flags: int
    answer: int
    first_weights: tuple[int, ...]
    """Where the weights of each layer begin, if they lie one layer after the other; and their end."""


@dataclass(slots=True)
class _Place:
    """An activation: at ``at``, flags at ``flags``; spatial (channels, rows, columns, with ``pad`` zeros around) or flat (channels = features)."""

    at: int
    flags: int
    channels: int
    rows: int = 1
    columns: int = 1
    pad: int = 0
    spatial: bool = False
    by_feature: bool = False


@functools.lru_cache(maxsize=32)
def compile_program(architecture: Architecture) -> Program | None:
    """Return the program of an architecture, or None where it ends in pictures rather than in numbers, one a class."""
    steps, shapes = architecture.steps, architecture.shapes
    if len(shapes[-1]) != 1:
        return None
    layers: list[list[int]] = []
    ops: list[list[int]] = []
    size = flags = n_weights = n_biases = 0
    first_weights = []

    def place(index: int, *, result: bool) -> _Place:
        """Room for what stands before step ``index`` (or after the last)."""
        nonlocal size, flags
        shape = shapes[index]
        reader = None if result else next_crossbar_at(index)
        if len(shape) == 1:
            new = _Place(size, flags, shape[0])
        else:
            pad = reader.padding if isinstance(reader, Conv) else 0
            new = _Place(size, flags, *shape, pad, True, isinstance(reader, Dense))
        room = new.channels * (new.rows + 2 * new.pad) * (new.columns + 2 * new.pad)
        size += -(-room * k.PIECE // 16) * 16
        flags += room if new.by_feature else new.channels
        return new

    def next_crossbar_at(index: int) -> Conv | Dense | None:
        step = steps[index] if index < len(steps) else None
        return step if isinstance(step, Conv | Dense) else None

    # The pictures: features of a flat first layer lie as those of a spatial one.
    first = steps[0]
    if isinstance(first, Dense):
        channels = int(np.prod(shapes[0]))
        source = _Place(size, flags, channels, 1, 1, 0, True, True)
        size, flags = size + channels * k.PIECE, flags + channels
    else:
        source = place(0, result=False)
    index = 0
    while index < len(steps):
        step = steps[index]
        index += 1
        spatial = isinstance(step, Conv)
        result = place(index, result=True)
        first_op, begin = len(ops), result
        while True:
            between = steps[index] if index < len(steps) else None
            inner = not isinstance(between, Conv | Dense) and between is not None
            if not inner and len(ops) > first_op:
                break
            index += inner
            end = place(index, result=False)
            ops.append(_op(between if inner else None, begin, end))
            begin = end
            if not inner:
                break
        fan_in = (
            source.channels * step.kernel**2
            if spatial
            else source.channels * (source.rows * source.columns if source.by_feature else 1)
        )
        outputs = step.channels if spatial else step.outputs
        row = [0] * 18
        row[k.KIND] = k.CONV if spatial else k.DENSE
        row[k.SOURCE], row[k.SOURCE_FLAGS] = source.at, source.flags
        row[k.CHANNELS] = source.channels if spatial else fan_in
        row[k.ROWS], row[k.COLUMNS] = source.rows + 2 * source.pad, source.columns + 2 * source.pad
        row[k.OUTPUTS], row[k.RESULT], row[k.RESULT_FLAGS] = outputs, result.at, result.flags
        row[k.WEIGHTS], row[k.BIASES] = n_weights, n_biases
        row[k.KERNEL] = step.kernel if spatial else 1
        row[k.OUT_ROWS], row[k.OUT_COLUMNS] = result.rows, result.columns
        # [feature, picture] where pictures come last, else [picture, feature].
        row[k.STEP_FEATURE], row[k.STEP_PICTURE] = (k.PIECE, 1) if source.spatial else (1, fan_in)
        row[k.FIRST_OP], row[k.END_OP] = first_op, len(ops)
        layers.append(row)
        first_weights.append(n_weights)
        n_weights += fan_in * outputs
        n_biases += outputs
        source = begin
    return Program(
        np.array(layers, np.int64),
        np.array(ops, np.int64).reshape(-1, 16),
        size,
        max(row[k.KERNEL] * row[k.ROWS] * row[k.OUT_COLUMNS] * k.PIECE for row in layers),
        flags,
        source.at,
        (*first_weights, n_weights),
    )


def _op(step: Relu | MaxPool | AvgPool | None, begin: _Place, end: _Place) -> list[int]:
    row = [0] * 16
    match step:
        case None:
            row[k.OP] = k.COPY
        case Relu():
            row[k.OP] = k.RELU
        case MaxPool():
            row[k.OP] = k.MAXPOOL
        case AvgPool():
            row[k.OP] = k.AVGPOOL
    pool = isinstance(step, MaxPool | AvgPool)
    row[k.SIZE], row[k.STRIDE] = (step.size, step.step) if pool else (1, 1)
    row[k.IN], row[k.IN_ROWS], row[k.IN_COLUMNS] = begin.at, begin.rows, begin.columns
    row[k.IN_PAD], row[k.IN_FLAGS] = begin.pad, begin.flags
    row[k.TO], row[k.TO_ROWS], row[k.TO_COLUMNS] = end.at, end.rows, end.columns
    row[k.TO_PAD], row[k.TO_FLAGS] = end.pad, end.flags
    row[k.SPATIAL], row[k.COUNT], row[k.BY_FEATURE] = begin.spatial, begin.channels, end.by_feature
    return row


def aligned_zeros(n: int) -> np.ndarray:
    """Return float32 [n] that begins at a cache line: vectors that straddle lines take twice as long."""
    room = np.zeros(n + 16, np.float32)
    first = -(room.ctypes.data // 4) % 16
    return room[first : first + n]
