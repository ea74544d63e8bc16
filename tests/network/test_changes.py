"""Sparse changes are the difference between what is held before and after."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.encoding import DOWN, UP, Encoding
from lifesim.network.architecture import Architecture, Dense
from lifesim.network.changes import Transitions
from lifesim.network.model import Model

ARCHITECTURE = Architecture("two", (1, 2, 3), (Dense("a", 4), Dense("b", 3)))


@pytest.mark.parametrize("encoding", [Encoding(), Encoding(1, True), Encoding(2, True), Encoding(2)])
@settings(deadline=None, max_examples=60)
@given(data=st.data(), independent=st.booleans(), seed=st.integers(0, 2**32))
def test_changes_lead_from_state_to_state(encoding, data, independent, seed):
    rng = np.random.default_rng(seed)
    codes = [rng.integers(-(1 << 15), 1 << 15, shape).astype(np.int16) for shape in ((6, 4), (4, 3))]
    weights = [rng.uniform(-1, 1, c.shape) for c in codes]
    model = Model.quantised(ARCHITECTURE, weights, [np.zeros(4), np.zeros(3)], "per_layer").with_codes(codes)
    transitions = Transitions(model, encoding)
    sizes = [c.size for c in codes]
    for _ in range(2):  # nothing is left behind by a first use
        written = st.sampled_from([*range(encoding.top_level + 1), UP, DOWN])
        states = [
            [
                tuple(
                    np.array(column, kind)
                    for column, kind in zip(
                        zip(*pairs, strict=True) if pairs else ((), ()), (np.int64, np.uint8), strict=True
                    )
                )
                for size in sizes
                for pairs in [
                    data.draw(
                        st.lists(
                            st.tuples(st.integers(0, size * encoding.cells_per_weight - 1), written),
                            max_size=12,
                        )
                    )
                ]
            ]
            for _ in range(data.draw(st.integers(0, 4)))
        ]
        changes = transitions.between(states, independent)
        before = model.codes
        flat_scales = np.repeat([f.scale for f in model.formats], sizes)
        for s, state in enumerate(states):
            after = tuple(encoding.write_over(c, *over) for c, over in zip(model.codes, state, strict=True))
            was = np.concatenate([c.reshape(-1) for c in (model.codes if independent else before)])
            now = np.concatenate([c.reshape(-1) for c in after])
            begin, end = changes.bounds[s, 0], changes.bounds[s, -1]
            places = changes.places[begin:end]
            assert sorted(places.tolist()) == np.flatnonzero(was != now).tolist()
            np.testing.assert_array_equal(changes.codes[begin:end], now[places])
            np.testing.assert_array_equal(changes.values[begin:end], (now * flat_scales)[places])
            middle = changes.bounds[s, 1]
            assert np.all(places[: middle - begin] < sizes[0])
            assert np.all(places[middle - begin :] >= sizes[0])
            before = after
        assert changes.independent == independent
