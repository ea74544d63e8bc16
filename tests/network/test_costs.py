"""Few changes are walked to, many are multiplied."""

import numpy as np
import pytest

from lifesim.network.architecture import load_architecture
from lifesim.network.changes import Changes
from lifesim.network.costs import walking_is_faster
from lifesim.network.program import compile_program


def changes_with(program, counts, independent=True, first=0):
    """States with as many changes in each layer from the ``first`` on."""
    layers = len(program.layers)
    of_layer = np.outer(counts, np.arange(layers) >= first).astype(np.int64)
    ends = np.cumsum(of_layer).reshape(-1, layers)
    bounds = np.concatenate([np.r_[0, ends[:-1, -1]][:, None], ends], axis=1)
    n = bounds[-1, -1]
    return Changes(bounds, np.zeros(n, np.int64), np.zeros(n, np.int16), np.zeros(n, np.float32), independent)


@pytest.mark.parametrize("name", ["mlp", "lenet", "convnet_quick"])
def test_few_changes_are_walked_to(name):
    program = compile_program(load_architecture(name))
    faster = [
        walking_is_faster(program, changes_with(program, [n]), np.arange(1)) for n in (0, 1, 10, 1000, 20_000)
    ]
    # What is behind an MLP's first layer is soon multiplied.
    assert faster[0] == (name != "mlp") and not faster[-1]
    assert faster == sorted(faster, reverse=True)


def test_what_counts_is_what_changes_between_states_visited():
    program = compile_program(load_architecture("lenet"))
    steps = changes_with(program, [1] * 400, independent=False, first=1)
    assert walking_is_faster(program, steps, np.arange(400))
    assert not walking_is_faster(program, steps, np.array([399]))
    alone = changes_with(program, [1000, 1, 1000], first=1)
    assert walking_is_faster(program, alone, np.array([1]))
    assert not walking_is_faster(program, alone, np.array([0, 2]))
    assert walking_is_faster(program, alone, np.array([], np.int64))


def test_one_state_far_away_does_not_have_all_others_multiplied():
    """As after a redeployment: what one step costs is not spread over those that come after it."""
    program = compile_program(load_architecture("lenet"))
    changes = changes_with(program, [2000, *[1] * 60], independent=False, first=1)
    assert walking_is_faster(program, changes, np.arange(61))
    assert not walking_is_faster(program, changes, np.arange(1))


def test_a_start_is_shared_by_all_states():
    program = compile_program(load_architecture("convnet_quick"))
    for states, expected in ((1, False), (200, True)):
        changes = changes_with(program, [1] * states, first=2)
        assert walking_is_faster(program, changes, np.arange(states), starts=True) == expected


def test_what_the_first_layer_spreads_is_corrected_in_the_second_and_not_walked_to():
    """A channel of twenty: a twentieth of the second layer, and all of the third."""
    program = compile_program(load_architecture("lenet"))
    assert not walking_is_faster(program, changes_with(program, [1]), np.arange(1))
    assert walking_is_faster(program, changes_with(program, [1], first=1), np.arange(1))
