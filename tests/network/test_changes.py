"""Sparse changes are the difference between what is held before and after."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.overlay import DOWN, UP, Ageing, Written
from lifesim.network.architecture import Architecture, Dense
from lifesim.network.changes import Transitions
from lifesim.network.model import Model

ARCHITECTURE = Architecture("two", (1, 2, 3), (Dense("a", 4), Dense("b", 3)))


def random_state(rng, encoding, sizes, before):
    """Some parts for each layer; often those of ``before`` with cells added."""
    state = []
    for layer, size in enumerate(sizes):
        n_cells = size * encoding.cells_per_weight
        if before is not None and rng.random() < 0.2:
            state.append(before[layer])
            continue
        parts = []
        for number in range(
            rng.integers(0, 4) if before is None or rng.random() < 0.3 else len(before[layer])
        ):
            old = before[layer][number] if before is not None and number < len(before[layer]) else None
            first = int(rng.integers(0, 3)) if old is None else old.first_cell
            cells = rng.permutation(n_cells - first)
            if old is not None and rng.random() < 0.7:
                cells = np.concatenate([old.cells, cells[~np.isin(cells, old.cells)]])
                cells = cells[: len(old.cells) + rng.integers(0, 5)]
                levels = old.levels if not isinstance(old.levels, np.ndarray) else None
            else:
                cells, levels = cells[: rng.integers(0, 9)], None
            if levels is None:
                every = [*range(encoding.top_level + 1), UP, DOWN]
                one, level_of = int(rng.choice(every)), rng.choice(every[:-2], n_cells).astype(np.uint8)
                levels = [one, level_of.__getitem__, rng.choice(every, len(cells)).astype(np.uint8)][
                    rng.integers(3)
                ]
            parts.append(Written(cells.astype(rng.choice([np.int32, np.int64])), levels, first))
        state.append(tuple(parts))
    return tuple(state)


def beginnings(part, count):
    levels = part.levels[:count] if isinstance(part.levels, np.ndarray) else part.levels
    return Written(part.cells[:count], levels, part.first_cell)


def random_ageing(rng, encoding, sizes):
    """The same parts at some times, mostly more and more of them; and these states one by one."""
    times, layers = rng.integers(1, 6), []
    for parts in random_state(rng, encoding, sizes, None):
        most = [len(part.cells) for part in parts]
        counts = rng.integers(0, np.array(most, np.int64) + 1, (times, len(parts)))
        layers.append((parts, np.sort(counts, axis=0) if rng.random() < 0.7 else counts))
    one_by_one = [
        tuple(tuple(map(beginnings, parts, counts[time].tolist())) for parts, counts in layers)
        for time in range(times)
    ]
    return Ageing(layers), one_by_one


@pytest.mark.parametrize("encoding", [Encoding(), Encoding(1, True), Encoding(2, True), Encoding(2)])
@settings(deadline=None, max_examples=150)
@given(independent=st.booleans(), seed=st.integers(0, 2**32))
def test_changes_lead_from_state_to_state(encoding, independent, seed):
    rng = np.random.default_rng(seed)
    codes = [rng.integers(-(1 << 15), 1 << 15, shape).astype(np.int16) for shape in ((6, 4), (4, 3))]
    weights = [rng.uniform(-1, 1, c.shape) for c in codes]
    model = Model.quantised(ARCHITECTURE, weights, [np.zeros(4), np.zeros(3)], "per_layer").with_codes(codes)
    transitions = Transitions(model, encoding)
    sizes = [c.size for c in codes]
    scales = np.repeat([f.scale for f in model.formats], sizes)
    for _ in range(2):  # nothing is left behind by a first use
        states, told = [], []
        for _ in range(rng.integers(0, 8)):
            if rng.random() < 0.2:
                ageing, one_by_one = random_ageing(rng, encoding, sizes)
                assert len(ageing) == len(one_by_one)
                told, states = [*told, ageing], [*states, *one_by_one]
            else:
                states.append(random_state(rng, encoding, sizes, states[-1] if states else None))
                told.append(states[-1])
        changes = transitions.between(iter(told), independent)
        assert changes.bounds.shape == (len(states), 3) and changes.independent == independent
        new = np.concatenate([c.reshape(-1) for c in model.codes])
        for s, state in enumerate(states):
            before = np.concatenate([c.reshape(-1) for c in model.codes]) if independent else new
            after = [encoding.write_over(c, parts) for c, parts in zip(model.codes, state, strict=True)]
            new = np.concatenate([c.reshape(-1) for c in after])
            begin, middle, end = changes.bounds[s]
            places = changes.places[begin:end]
            assert sorted(places.tolist()) == np.flatnonzero(before != new).tolist()
            np.testing.assert_array_equal(changes.codes[begin:end], new[places])
            np.testing.assert_array_equal(changes.values[begin:end], (new * scales)[places])
            assert changes.values.dtype == np.float32
            for mine, wanted in zip(changes.codes_of(s, model.codes), after, strict=True):
                np.testing.assert_array_equal(mine, wanted)
            assert np.all(places[: middle - begin] < sizes[0])
            assert np.all(places[middle - begin :] >= sizes[0])


def test_a_cell_is_looked_at_once_while_parts_grow():
    """Levels are asked of each cell once, however many states it stands in."""
    asked = []

    def levels(cells):
        asked.append(cells.tolist())
        return np.ones(len(cells), np.uint8)

    model = Model.quantised(ARCHITECTURE, [np.zeros((6, 4)), np.zeros((4, 3))], [np.zeros(4), np.zeros(3)])
    cells, other = np.arange(40, dtype=np.int32)[::-1] * 3, (Written(np.arange(5), levels),)
    states = [((Written(cells[:n], levels),), other) for n in (0, 4, 4, 7)]
    Transitions(model, Encoding()).between(states, False)
    assert asked == [[117, 114, 111, 108, 105, 102, 99], [0, 1, 2, 3, 4]]
