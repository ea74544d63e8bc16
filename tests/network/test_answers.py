"""What is right is what the plain path gets right, picture by picture."""

import numpy as np
import pytest

from lifesim.crossbar.encoding import SLC
from lifesim.crossbar.overlay import Written
from lifesim.network.answers import right_of_copies, right_of_states, right_sooner
from lifesim.network.walk import walker_of


def states_of(model, rng, counts):
    """One device that gains stuck cells."""
    whole = [
        (rng.permutation(c.size * 16)[: max(counts)], rng.integers(0, 2, max(counts)).astype(np.uint8))
        for c in model.codes
    ]
    return [[(Written(cells[:n], levels[:n]),) for cells, levels in whole] for n in counts]


@pytest.mark.parametrize("counts", [(0, 1, 5, 30, 100, 100, 300), (0, 4000, 0, 4000)])
def test_right_answers_of_states(mlp_model, mnist5k, counts):
    pictures, labels = mnist5k.part("spec")
    states = states_of(mlp_model, np.random.default_rng(1), counts)
    copies = [
        tuple(SLC.write_over(c, parts) for c, parts in zip(mlp_model.codes, state, strict=True))
        for state in states
    ]
    plain = right_of_copies(mlp_model, copies, pictures, labels, "cpu")
    changes = walker_of(mlp_model, SLC).changes(states)
    which = np.arange(len(counts))
    assert np.array_equal(right_of_states(mlp_model, SLC, changes, which, pictures, labels), plain)
    some = np.array([1, 3])
    few = right_of_states(mlp_model, SLC, changes, some, pictures[100:140], labels[100:140])
    assert np.array_equal(few, plain[some, 100:140])


def test_what_is_close_is_decided_on_the_plain_path(mlp_model, mnist5k, monkeypatch):
    """With a slack so large that nothing is clear, everything is asked of the plain path."""
    import lifesim.network.answers as answers

    pictures, labels = (part[:20] for part in mnist5k.part("spec"))
    changes = walker_of(mlp_model, SLC).changes(states_of(mlp_model, np.random.default_rng(2), (5, 40)))
    asked = []

    def spy(model, copies, pictures, labels, device):
        asked.append((len(copies), len(pictures)))
        return right_of_copies(model, copies, pictures, labels, device)

    which = np.arange(2)
    expected = right_of_states(mlp_model, SLC, changes, which, pictures, labels)
    monkeypatch.setattr(answers, "slack", lambda logits: 1e9)
    monkeypatch.setattr(answers, "right_of_copies", spy)
    assert np.array_equal(right_of_states(mlp_model, SLC, changes, which, pictures, labels), expected)
    assert asked == [(2, 20)]


@pytest.mark.parametrize("unclear", [False, True])
def test_right_answers_of_copies_sooner(mlp_model, mnist5k, monkeypatch, unclear):
    import lifesim.network.answers as answers

    pictures, labels = (part[:100] for part in mnist5k.part("validation"))
    rng = np.random.default_rng(5)
    copies = [mlp_model.codes, tuple(rng.permutation(c) for c in mlp_model.codes)]
    copies += [tuple(np.where(rng.random(c.shape) < 0.02, 0, c).astype(np.int16) for c in mlp_model.codes)]
    plain = right_of_copies(mlp_model, copies, pictures, labels, "cpu")
    if unclear:
        monkeypatch.setattr(answers, "slack", lambda logits: 1e9)
    assert np.array_equal(right_sooner(mlp_model, copies, pictures, labels), plain)
    assert 50 < plain[0].sum() < 100 and plain[1].sum() < 50
