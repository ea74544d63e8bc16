"""A fault map as it travels to the cloud: the gaps between stuck cells and the level that each shows.

Message: ``LSM1``, the compressed map, CRC-32. The cells of all layers are numbered end to end, so both sides must know the
number of cells of each layer and how weights lie in them, as they do for a model whose version they share.

A map that has grown out of one that both sides have may be sent as what is new: ``LSM2``, 4 bytes of the older map's digest, the new cells, CRC-32.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.faults import FaultMap
from lifesim.recovery.coding import MessageError, Reader, pack_count, pack_positions, seal, unseal

_WHOLE, _NEW_CELLS = b"LSM1", b"LSM2"
_DIGEST_SIZE = 4


def encode_map(fault_map: FaultMap, layer_cells: Sequence[int], since: FaultMap | None = None) -> bytes:
    """Return the message that carries the map of layers with ``layer_cells`` cells each.

    ``since``: a map that the receiver has; if all of it is in this one, only the rest travels. Raises ValueError for a cell outside its layer.
    """
    magic, head = _WHOLE, b""
    if since is not None and fault_map.without(since).union(since) == fault_map:
        magic, head, fault_map = _NEW_CELLS, since.digest()[:_DIGEST_SIZE], fault_map.without(since)
    starts = _starts(layer_cells)
    for cells, size in zip(fault_map.cells, layer_cells, strict=True):
        if len(cells) and not 0 <= cells[0] <= cells[-1] < size:
            raise ValueError(f"fault map has cells {cells[0]} to {cells[-1]} in a layer of {size}")
    positions = np.concatenate([cells + start for cells, start in zip(fault_map.cells, starts, strict=False)])
    levels = np.concatenate(fault_map.values)
    # One bit plane after the other, the least significant first.
    planes = [np.packbits(levels >> bit & 1).tobytes() for bit in range(fault_map.encoding.bits_per_cell)]
    return seal(magic, head, pack_count(len(positions)) + pack_positions(positions) + b"".join(planes))


def decode_map(
    data: bytes, layer_cells: Sequence[int], encoding: Encoding = SLC, since: FaultMap | None = None
) -> FaultMap:
    """Return the map: the exact inverse of :func:`encode_map`.

    Raises MessageError for a truncated or damaged message, one whose cells lie outside these layers, or one of what is new since another map.
    """
    starts = _starts(layer_cells)
    new_cells = data.startswith(_NEW_CELLS)
    head, body = unseal(*((_NEW_CELLS, _DIGEST_SIZE) if new_cells else (_WHOLE, 0)), data)
    if new_cells and (since is None or head != since.digest()[:_DIGEST_SIZE]):
        raise MessageError(f"the cells are new since map {head.hex()}, which is not at hand")
    reader = Reader(body)
    count = reader.count()
    positions = reader.positions(count)
    levels = sum(reader.bits(count) << bit for bit in range(encoding.bits_per_cell))
    reader.end()
    if count and positions[-1] >= starts[-1]:
        raise MessageError(f"cell {positions[-1]} does not exist: {starts[-1]} cells")
    slices = [slice(*np.searchsorted(positions, pair)) for pair in pairwise(starts)]
    found = FaultMap(
        tuple(positions[s] - start for s, start in zip(slices, starts, strict=False)),
        tuple(levels[s] for s in slices),
        encoding,
    )
    return found.union(since) if new_cells else found


def _starts(layer_cells: Sequence[int]) -> np.ndarray:
    """Where each layer starts when all cells are numbered end to end, and last the number of all cells."""
    return np.concatenate([[0], np.cumsum(layer_cells, dtype=np.int64)]).astype(np.int64)
