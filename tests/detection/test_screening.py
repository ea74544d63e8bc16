"""What surely passes passes on the plain path; and most of what passes there is sure."""

import pickle

import numpy as np
import pytest

from lifesim.crossbar.encoding import SLC
from lifesim.crossbar.overlay import Written
from lifesim.detection import screening
from lifesim.detection.criteria import Golden
from lifesim.detection.reading import ReadNoise, TestRule
from lifesim.detection.screening import Window, look_into, softmax
from lifesim.network.architecture import Architecture, Conv
from lifesim.network.evaluate import Evaluator, Noise
from lifesim.network.model import Model

RULE = TestRule("sdc3", pictures=16, vote=1, rereads=0, baseline_reads=1)


def overlay(model, rng, n):
    return [
        (Written(rng.choice(c.size * 16, n, replace=False), rng.integers(0, 2, n).astype(np.uint8)),)
        for c in model.codes
    ]


@pytest.mark.parametrize(
    "noise", [ReadNoise(0.0, 0.5), ReadNoise(0.003, 0.5), ReadNoise(0.003, 0.5, "cell_analog")]
)
def test_sure_passes_against_the_plain_path(mlp_model, mnist5k, noise):
    model, rng = mlp_model, np.random.default_rng(1)
    evaluator, pictures = Evaluator.of(model), mnist5k.part("test")[0][:16]
    golden = Golden.of(evaluator.confidences([model.codes], pictures)[0])
    states = [overlay(model, rng, n) for n in (0, 1, 2, 5, 10, 20, 40) for _ in range(30)]
    held = [tuple(SLC.write_over(c, over) for c, over in zip(model.codes, s, strict=True)) for s in states]
    z = noise.draw(7, 0, [0], 16, evaluator.noise_elements)
    drawn = Noise(noise.sigma, np.repeat(z, len(states), axis=0), noise.kind) if noise.sigma else None
    passes = ~RULE.alarms(golden, evaluator.confidences(held, pictures, drawn))
    keys = [noise.first_key(7, 0)] * len(states)
    (seen,) = look_into([Window(model, SLC, states, pictures, golden, RULE, noise, keys)])
    sure = seen.passes
    assert not np.any(sure & ~passes)
    assert 20 < passes.sum() < 190 and sure.sum() >= 0.97 * passes.sum()


@pytest.mark.parametrize("sigma", [0.0, 0.003])
def test_many_faults_that_do_not_matter_surely_pass(mlp_model, mnist5k, sigma):
    """The last bit of every weight."""
    pictures, rng = mnist5k.part("test")[0][:16], np.random.default_rng(1)
    golden = Golden.of(Evaluator.of(mlp_model).confidences([mlp_model.codes], pictures)[0])
    dense = [
        (Written(np.arange(0, c.size * 16, 16), rng.integers(0, 2, c.size).astype(np.uint8)),)
        for c in mlp_model.codes
    ]
    window = Window(mlp_model, SLC, [dense], pictures, golden, RULE, ReadNoise(sigma, 0.5), [1])
    assert look_into([window])[0].passes.all()


def test_where_a_network_does_not_end_in_classes_nothing_is_sure(mlp_model, mnist5k):
    pictures, rng = mnist5k.part("test")[0][:16], np.random.default_rng(1)
    golden = Golden.of(Evaluator.of(mlp_model).confidences([mlp_model.codes], pictures)[0])
    odd = Architecture("pictures", (1, 4, 4), (Conv("a", 3, 2),))
    model = Model.quantised(odd, [rng.uniform(-1, 1, (4, 3))], [np.zeros(3)])
    states = [overlay(model, rng, 1)]
    window = Window(model, SLC, states, pictures, golden, RULE, ReadNoise(0.0, 0.5), [1])
    assert not look_into([window])[0].passes.any()


@pytest.mark.parametrize("sigma", [0.0, 0.003])
def test_windows_that_are_looked_into_together_find_what_each_does_alone(
    mlp_model, mnist5k, sigma, monkeypatch
):
    """Whatever they have in common, and however many fit into a call."""
    rng, noise = np.random.default_rng(3), ReadNoise(sigma, 0.5)
    sets = [mnist5k.part("test")[0][first : first + 16] for first in (0, 16)]
    models = [mlp_model, mlp_model.with_codes([rng.permutation(c) for c in mlp_model.codes])]
    windows = []
    for number, visits in enumerate((3, 1, 5, 2, 4, 1)):
        model, pictures = models[number == 3], sets[number % 2]
        golden = Golden.of(Evaluator.of(model).confidences([model.codes], pictures)[0])
        states = [overlay(model, rng, n) for n in rng.integers(0, 30, visits)]
        keys = list(range(10 * number, 10 * number + visits))
        windows.append(Window(model, SLC, states, pictures, golden, RULE, noise, keys))
    alone = [look_into([window])[0] for window in windows]
    assert {True, False} == set(sum((seen.passes.tolist() for seen in alone), []))
    for most in (1024, 4):
        monkeypatch.setattr(screening, "_MOST_STATES", most)
        for seen, by_itself in zip(look_into(windows), alone, strict=True):
            assert seen.passes.tolist() == by_itself.passes.tolist() and seen.doubts == by_itself.doubts
    assert look_into([]) == []


def test_baselines_and_the_first_visits_in_doubt_are_read_on_the_plain_path(mlp_model, mnist5k):
    model, rng, evaluator = mlp_model, np.random.default_rng(4), Evaluator.of(mlp_model)
    pictures, noise = mnist5k.part("test")[0][:16], ReadNoise(0.0, 0.5)
    windows, held = [], []
    for _ in range(40):  # devices that were read with a few faults, and then gain more
        states = [overlay(model, rng, n) for n in (3, 0, 1, 10)]
        windows.append(Window(model, SLC, states, pictures, None, RULE, noise, [0] * 4))
        held.append(
            [tuple(SLC.write_over(c, o) for c, o in zip(model.codes, s, strict=True)) for s in states]
        )
    doubts = 0
    for seen, copies in zip(look_into(windows), held, strict=True):
        baseline, *visits = evaluator.confidences(copies, pictures)
        golden = Golden.of(baseline)
        assert seen.golden.is_that_of(golden) and len(seen.passes) == 3
        expected = []
        for position in np.flatnonzero(~seen.passes).tolist():
            shown = visits[position]
            expected.append((position, RULE.alarms(golden, shown), RULE.score(golden, shown)))
            if expected[-1][1]:
                break
        assert seen.doubts == expected
        doubts += len(expected)
    assert 5 < doubts


def test_a_visit_in_doubt_is_read_once_as_long_as_nothing_changes(mlp_model, mnist5k, monkeypatch):
    """Doubtful is what cannot be told apart, here everything: visits are read until one alarms."""
    model, rng, noise = mlp_model, np.random.default_rng(6), ReadNoise(0.0, 0.5)
    pictures, asked = mnist5k.part("test")[0][:16], []

    class Careful(TestRule):
        def may_alarm(self, golden, confidences, slack):
            return np.ones(len(confidences), bool)

        def score(self, golden, answers):
            asked.append(answers)
            return super().score(golden, answers)

    rule = Careful("sdc3", pictures=16, vote=1, rereads=0, baseline_reads=1)
    last = [
        (Written(np.arange(0, c.size * 16, 16), np.ones(c.size, np.uint8)),) for c in model.codes
    ]  # of no consequence
    worn = overlay(model, rng, 4000)
    states = [last, last, last, [()] * 3, [()] * 3, worn, worn]
    window = Window(model, SLC, states, pictures, None, rule, noise, [0] * 7)
    (seen,) = look_into([window])
    assert [d.position for d in seen.doubts] == [0, 1, 2, 3, 4, 5]
    assert [d.alarms for d in seen.doubts] == [False] * 4 + [True] * 2 and len(asked) == 3


def test_where_a_network_does_not_end_in_classes_no_baseline_is_read(mlp_model, mnist5k):
    odd = Architecture("pictures", (1, 4, 4), (Conv("a", 3, 2),))
    rng = np.random.default_rng(1)
    model = Model.quantised(odd, [rng.uniform(-1, 1, (4, 3))], [np.zeros(3)])
    states = [overlay(model, rng, 1)] * 3
    window = Window(
        model, SLC, states, mnist5k.part("test")[0][:16], None, RULE, ReadNoise(0.0, 0.5), [1] * 3
    )
    (seen,) = look_into([window])
    assert seen.golden is None and not seen.doubts and seen.passes.tolist() == [False, False]


def test_softmax_of_large_logits():
    np.testing.assert_allclose(softmax(np.array([[1e4, 0.0], [np.log(3.0), 0.0]])), [[1, 0], [0.75, 0.25]])


def test_windows_that_travel_find_the_same(mlp_model, mnist5k):
    """To other processes; levels may be given by what cannot travel."""
    rng, pictures = np.random.default_rng(8), mnist5k.part("test")[0][:16]
    levels = rng.integers(0, 2, 50_176 * 16).astype(np.uint8)
    cells = [rng.choice(c.size * 16, 12, replace=False) for c in mlp_model.codes]
    states = [
        tuple((Written(of_layer[:n], lambda asked: levels[asked]),) for of_layer in cells) for n in range(12)
    ]
    windows = [Window(mlp_model, SLC, states, pictures, None, RULE, ReadNoise(0.0, 0.5), [0] * 12)] * 2
    for seen, there in zip(look_into(windows), look_into(pickle.loads(pickle.dumps(windows))), strict=True):
        assert seen.passes.tolist() == there.passes.tolist() and seen.doubts == there.doubts
        assert seen.golden.is_that_of(there.golden)
