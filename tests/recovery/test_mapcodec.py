"""The fault map on the uplink: exact inverse, damage noticed, close to its entropy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.faults import FaultMap
from lifesim.recovery.coding import MessageError, pack_count, pack_positions, seal
from lifesim.recovery.mapcodec import decode_map, encode_map

LAYER_CELLS = (480, 64, 16)


@st.composite
def fault_maps(draw):
    stuck = [
        draw(st.dictionaries(st.integers(0, size - 1), st.integers(0, 1), max_size=40))
        for size in LAYER_CELLS
    ]
    cells = [np.array(sorted(s), np.int64) for s in stuck]
    return FaultMap.of(cells, [np.array([s[c] for c in sorted(s)], np.uint8) for s in stuck])


@settings(deadline=None)
@given(fault_maps())
def test_is_an_exact_inverse(fault_map):
    decoded = decode_map(encode_map(fault_map, LAYER_CELLS), LAYER_CELLS)
    assert decoded == fault_map
    for cells, values in zip(decoded.cells, decoded.values, strict=True):
        assert (cells.dtype, values.dtype) == (np.int64, np.uint8)


@pytest.mark.parametrize("value", [0, 1])
def test_maps_of_no_cell_and_of_every_cell(value):
    every = FaultMap(
        tuple(np.arange(n) for n in LAYER_CELLS), tuple(np.full(n, value, np.uint8) for n in LAYER_CELLS)
    )
    for fault_map in (FaultMap.empty(3), every):
        assert decode_map(encode_map(fault_map, LAYER_CELLS), LAYER_CELLS) == fault_map


def test_a_cell_on_either_side_of_a_boundary_stays_in_its_layer():
    edges = FaultMap.of([[0, 479], [0, 63], [0, 15]], [[0, 1], [1, 0], [1, 1]])
    assert decode_map(encode_map(edges, LAYER_CELLS), LAYER_CELLS) == edges


def test_truncation_and_every_damaged_byte_are_refused():
    data = encode_map(FaultMap.of([[3, 77, 200], [5], []], [[0, 1, 1], [1], []]), LAYER_CELLS)
    for length in range(len(data)):
        with pytest.raises(MessageError, match="truncated"):
            decode_map(data[:length], LAYER_CELLS)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises(MessageError):
            decode_map(bytes(damaged), LAYER_CELLS)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (
            seal(b"LSM1", b"", pack_count(1) + pack_positions(np.array([560])) + b"\x80"),
            "cell 560 does not exist: 560 cells",
        ),
        (seal(b"LSM1", b"", pack_count(1) + pack_positions(np.array([5])) + b"\x80\0"), "1 bytes too many"),
        (seal(b"LSM1", b"", pack_count(1) + pack_positions(np.array([5]))), "1 bytes expected, 0 left"),
        (seal(b"LSD1", b"", pack_count(0)), "another kind of message"),
    ],
)
def test_a_whole_message_with_wrong_content_is_refused(message, error):
    with pytest.raises(MessageError, match=error):
        decode_map(message, LAYER_CELLS)


def test_a_cell_outside_its_layer_is_not_sent_as_one_of_the_next():
    with pytest.raises(ValueError, match="cells 64 to 64 in a layer of 64"):
        encode_map(FaultMap.of([[], [64], []], [[], [1], []]), LAYER_CELLS)


def test_scattered_faults_take_close_to_their_entropy():
    """LeNet's 6.9 million cells, 0.5 % of them stuck, five at LRS for one at HRS."""
    cells = 6_888_000
    generator = np.random.Generator(np.random.Philox(key=1))
    stuck = np.flatnonzero(generator.random(cells) < 0.005)
    values = (generator.random(len(stuck)) < 5 / 6).astype(np.uint8)
    data = encode_map(FaultMap((stuck,), (values,)), [cells])
    assert decode_map(data, [cells]).count == len(stuck)

    def entropy_bytes(n, p):
        return -n * (p * np.log2(p) + (1 - p) * np.log2(1 - p)) / 8

    assert len(data) < 1.03 * (entropy_bytes(cells, 0.005) + entropy_bytes(len(stuck), 5 / 6))


@settings(deadline=None)
@given(fault_maps(), fault_maps())
def test_what_is_new_since_a_map_gives_the_whole_map_back(older, more):
    newer = older.union(more)
    data = encode_map(newer, LAYER_CELLS, since=older)
    assert data.startswith(b"LSM2") and decode_map(data, LAYER_CELLS, since=older) == newer
    for other in (None, newer) if newer != older else (None,):
        with pytest.raises(MessageError, match="not at hand"):
            decode_map(data, LAYER_CELLS, since=other)


def test_a_map_that_has_lost_or_changed_a_cell_travels_whole():
    older = FaultMap.of([[3, 77], [5], []], [[0, 1], [1], []])
    for newer in (
        FaultMap.of([[3, 80], [5], []], [[0, 1], [1], []]),
        FaultMap.of([[3, 77], [5], []], [[0, 0], [1], []]),
    ):
        data = encode_map(newer, LAYER_CELLS, since=older)
        assert data == encode_map(newer, LAYER_CELLS) and decode_map(data, LAYER_CELLS) == newer


def test_what_is_new_takes_less_than_the_whole(mlp_model, random_damage):
    cells = [16 * codes.size for codes in mlp_model.codes]
    older = random_damage(mlp_model, 0.005, 1)
    newer = older.union(random_damage(mlp_model, 0.0001, 2))
    assert len(encode_map(newer, cells, since=older)) < len(encode_map(newer, cells)) / 20


def test_truncation_and_damage_of_what_is_new_are_refused():
    older = FaultMap.of([[3, 77], [5], []], [[0, 1], [1], []])
    newer = older.union(FaultMap.of([[200], [], [2]], [[1], [], [0]]))
    data = encode_map(newer, LAYER_CELLS, since=older)
    for length in range(len(data)):
        with pytest.raises(MessageError, match="truncated|another kind"):
            decode_map(data[:length], LAYER_CELLS, since=older)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises(MessageError):
            decode_map(bytes(damaged), LAYER_CELLS, since=older)


def test_a_map_sent_twice_as_what_is_new_says_that_nothing_is():
    older = FaultMap.of([[3, 77], [5], []], [[0, 1], [1], []])
    data = encode_map(older, LAYER_CELLS, since=older)
    assert decode_map(data, LAYER_CELLS, since=older) == older
    assert len(data) < len(encode_map(older, LAYER_CELLS)) + 5


@settings(deadline=None)
@given(st.data())
def test_maps_of_two_bit_cells(data):
    """Four levels; whole, and as what is new."""
    mlc = Encoding(2, offset=True)

    def draw():
        stuck = [
            data.draw(st.dictionaries(st.integers(0, size - 1), st.integers(0, 3), max_size=20))
            for size in LAYER_CELLS
        ]
        return FaultMap.of([list(s) for s in stuck], [list(s.values()) for s in stuck], mlc)

    older = draw()
    newer = older.union(draw())
    assert decode_map(encode_map(older, LAYER_CELLS), LAYER_CELLS, mlc) == older
    assert decode_map(encode_map(newer, LAYER_CELLS, older), LAYER_CELLS, mlc, older) == newer
