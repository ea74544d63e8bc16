"""Of unrelated states, those whose cells come in order are gone through in another way: both find what the oracle finds."""

import numpy as np
import pytest

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.overlay import Written
from lifesim.network.architecture import Architecture, Dense
from lifesim.network.changes import Transitions
from lifesim.network.model import Model

ARCHITECTURE = Architecture("two", (1, 2, 3), (Dense("a", 4), Dense("b", 3)))


@pytest.mark.parametrize("encoding", [Encoding(), Encoding(2, True)])
@pytest.mark.parametrize("in_order", [True, False])
def test_unrelated_states_are_those_written_over_the_model(encoding, in_order):
    """Many cells of one part, as stuck cells come: weight by weight, or else; some of whose levels are those that they hold."""
    rng = np.random.default_rng(8)
    codes = [rng.integers(-(1 << 15), 1 << 15, shape).astype(np.int16) for shape in ((6, 4), (4, 3))]
    weights = [rng.uniform(-1, 1, c.shape) for c in codes]
    model = Model.quantised(ARCHITECTURE, weights, [np.zeros(4), np.zeros(3)]).with_codes(codes)
    states = []
    for share in (0.0, 0.02, 0.3, 1.0):
        cells = [rng.permutation(c.size * encoding.cells_per_weight) for c in codes]
        cells = [c[: round(share * len(c))] for c in cells]
        if in_order:
            cells = [np.sort(c) for c in cells]
        states.append(
            [
                (Written(c, rng.integers(0, 6, len(c)).astype(np.uint8) % (encoding.top_level + 1)),)
                for c in cells
            ]
        )
    changes = Transitions(model, encoding).between(states, independent=True)
    for s, state in enumerate(states):
        wanted = [encoding.write_over(c, parts) for c, parts in zip(codes, state, strict=True)]
        for mine, after in zip(changes.codes_of(s, codes), wanted, strict=True):
            np.testing.assert_array_equal(mine, after)
        differing = sum(np.count_nonzero(c != w) for c, w in zip(codes, wanted, strict=True))
        assert changes.bounds[s, -1] - changes.bounds[s, 0] == differing
