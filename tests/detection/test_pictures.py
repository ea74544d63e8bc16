"""Rules for test pictures: shapes, determinism, and that each does what its name says."""

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.faults import apply_map
from lifesim.detection import pictures as rules
from lifesim.detection.examples import fgsm_examples, select_test_pictures
from lifesim.detection.pictures import PICTURE_RULES, PictureJob, cover, select_pictures, to_boundary
from lifesim.errors import UserError
from lifesim.network.architecture import Architecture, Conv, Dense, MaxPool, Relu
from lifesim.network.model import Model

COUNT = 6
TINY = Architecture("tiny", (1, 28, 28), (Conv("a", 4, 5), MaxPool(4), Relu(), Dense("b", 10)))


@pytest.fixture(scope="module")
def job(mlp_model) -> PictureJob:
    return PictureJob(mlp_model, mlp_model.codes, "mnist5k", COUNT, 0.095)


@pytest.fixture(scope="module")
def made(job):
    """The pictures of each rule, made once."""
    return functools.cache(lambda rule: select_pictures(rule, job))


@functools.cache
def tiny_model(seed=0) -> Model:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(k.fan_in, k.fan_out)) / k.fan_in**0.5 for k in TINY.crossbar_layers]
    return Model.quantised(TINY, weights, [rng.normal(size=k.fan_out) for k in TINY.crossbar_layers])


@pytest.fixture
def fewer_steps(monkeypatch):
    """Where it does not matter how good the pictures are."""
    monkeypatch.setattr(rules, "_ASCENT_MACS", 1e7)
    monkeypatch.setattr(rules, "_TRAINING_MACS", 1e7)


def tiny_job(**others) -> PictureJob:
    return PictureJob(tiny_model(), tiny_model().codes, "mnist5k", 4, 0.05, **others)


def margins_of(job, pictures, classes=None):
    """By how much the class leads, float64 [m]; the class that is seen unless given."""
    logits = job.evaluator.logits([job.held], pictures)[0].astype(float)
    classes = logits.argmax(axis=1) if classes is None else classes
    return np.array([row[c] - max(np.delete(row, c)) for row, c in zip(logits, classes, strict=True)])


@pytest.mark.parametrize("rule", PICTURE_RULES)
def test_every_rule_makes_as_many_pictures_as_asked_for_no_two_alike(rule, made):
    pictures = made(rule)
    assert pictures.shape == (COUNT, 1, 28, 28) and pictures.dtype == np.uint8
    assert len({picture.tobytes() for picture in pictures}) == COUNT


@pytest.mark.parametrize("rule", PICTURE_RULES)
@pytest.mark.usefixtures("fewer_steps")
def test_the_same_job_makes_the_same_pictures_and_another_model_others(rule):
    assert np.array_equal(select_pictures(rule, tiny_job()), select_pictures(rule, tiny_job()))
    other = tiny_model(1)
    assert not np.array_equal(
        select_pictures(rule, tiny_job()),
        select_pictures(rule, replace(tiny_job(), model=other, held=other.codes)),
    )


@pytest.mark.usefixtures("fewer_steps")
@pytest.mark.parametrize("kind", ["weight", "cell_analog", "cell_adc"])
@pytest.mark.parametrize("encoding", [SLC, Encoding(2)])
def test_pictures_are_made_for_any_noise_and_cells(kind, encoding):
    pictures = select_pictures("greedy", tiny_job(noise_kind=kind, noise_sigma=1e-3, encoding=encoding))
    assert pictures.shape == (4, 1, 28, 28)


@pytest.mark.usefixtures("fewer_steps")
def test_without_noise_a_little_is_assumed():
    quiet, little = (select_pictures("greedy", tiny_job(noise_sigma=sigma)) for sigma in (0.0, 0.001))
    assert np.array_equal(quiet, little)


@pytest.mark.usefixtures("fewer_steps")
def test_pictures_are_optimised_as_if_noise_were_weak():
    usual, strong = (select_pictures("optimised", tiny_job(noise_sigma=sigma)) for sigma in (0.003, 0.01))
    assert np.array_equal(usual, strong)


def test_random_and_clean_are_the_papers_with_and_without_fgsm(job, made, mnist5k):
    pictures, labels = select_test_pictures(mnist5k, COUNT, job.key)
    assert np.array_equal(made("clean"), pictures)
    assert np.array_equal(made("random"), fgsm_examples(job.evaluator, job.held, pictures, labels, 0.095))


def test_min_margin_takes_the_least_of_all_candidates_in_order(job, made, mnist5k):
    candidates, _ = mnist5k.part("test")
    assert len(candidates) == 500  # all that there are: fewer than 512
    chosen = margins_of(job, made("min_margin"))
    assert np.all(np.diff(chosen) > -1e-3)
    np.testing.assert_allclose(chosen, np.sort(margins_of(job, candidates))[:COUNT], atol=1e-3)
    of_data_set = {picture.tobytes() for picture in candidates}
    assert all(picture.tobytes() in of_data_set for picture in made("min_margin"))


def test_boundary_pictures_lie_on_the_boundary(job, made):
    """Nearer than any picture of the data set that the other rule finds, the nearest first, by steps along one direction."""
    left = margins_of(job, made("boundary"))
    assert np.all(np.diff(np.round(1000 * left)) >= 0)
    assert left.max() < 0.1 * margins_of(job, made("min_margin")).min()


def test_on_the_way_to_the_boundary_all_pixels_take_the_same_step_but_for_one_level(job):
    pictures = job.candidates(20)
    logits = job.evaluator.logits([job.held], pictures)[0]
    classes = logits.argmax(axis=1)
    moved, margins = to_boundary(job, pictures)
    np.testing.assert_allclose(margins / 1000, margins_of(job, moved, classes), atol=1e-3)
    before = margins_of(job, pictures, classes)
    assert np.all(np.abs(margins / 1000) < 0.05 * before)  # each of these can be crossed
    gradients = job.evaluator.picture_gradients(job.held, pictures, classes)
    for picture, after, gradient in zip(pictures.astype(int), moved.astype(int), gradients, strict=True):
        steps = (after - picture) * np.sign(gradient).astype(int)
        free = (picture + 128 * np.sign(gradient) <= 255) & (picture + 128 * np.sign(gradient) >= 0)
        assert np.ptp(steps[free & (gradient != 0)]) <= 1 and steps.min() >= 0


def test_where_nothing_leads_to_the_boundary_pictures_stay():
    model = Model.quantised(
        TINY, [np.zeros_like(w) for w in tiny_model().weights()], [np.zeros(4), np.arange(10.0)]
    )
    job = PictureJob(model, model.codes, "mnist5k", 3, 0.05)
    pictures = job.candidates(3)
    moved, margins = to_boundary(job, pictures)
    assert np.array_equal(moved, pictures) and margins.tolist() == [1000] * 3


def revealed(job, pictures):
    """The mean over some directions, of the sharp network."""
    sensitivity, rng = job.sensitivity, np.random.default_rng(9)
    read = sensitivity.read(sensitivity.inputs(pictures))
    directions = rng.normal(size=(8, len(pictures), 10)).astype(np.float32)
    return np.mean([float(sensitivity.revealed(read, torch.tensor(d)).detach()) for d in directions])


def test_optimised_pictures_reveal_more_than_all_others(job, made):
    found = {
        rule: revealed(job, made(rule)) for rule in ("random", "clean", "min_margin", "boundary", "optimised")
    }
    best = found.pop("optimised")
    assert best > 1.15 * max(found.values())


def test_optimised_pictures_light_pixels_that_are_black_in_the_data_set(made, mnist5k):
    dark = mnist5k.part("test")[0].max(axis=0) == 0
    assert dark.sum() > 20 and made("clean")[:, dark].max() == 0
    assert (made("optimised")[:, dark].max(axis=0) > 25).mean() > 0.5


def test_greedy_takes_from_its_candidates_and_leaves_less_unseen_than_the_first(job, made):
    candidates = rules.greedy_candidates(job)
    places = {picture.tobytes(): i for i, picture in enumerate(candidates)}
    chosen = [places[picture.tobytes()] for picture in made("greedy")]
    assert len(set(chosen)) == COUNT and np.array_equal(candidates[:COUNT], made("optimised"))
    scaled = rules.simulated_shifts(job, candidates) / (4 * np.sqrt(2 * COUNT * 10))
    assert unseen(scaled, chosen) <= unseen(scaled, range(COUNT)) + 1e-3


def test_shifts_are_squared_distances_in_the_noise():
    """The fast path against whole copies, one by one."""
    job = tiny_job()
    pictures = job.candidates(4)
    found = rules.simulated_shifts(job, pictures)
    covariance = job.sensitivity.noise_covariance(pictures)
    golden = job.evaluator.logits([job.held], pictures)[0].astype(float)
    key = job.key_for("training faults")
    for copy in (0, 1, 2, 3, 17):
        faults = rules._flipped(job, rules.stream_key(key, copy), copy)
        shown = job.evaluator.logits([apply_map(job.held, faults)], pictures)[0].astype(float)
        for m, moved in enumerate(shown - golden):
            exact = moved @ np.linalg.solve(covariance[m], moved)
            assert found[copy, m] == pytest.approx(exact, rel=0.02, abs=1e-2)


@pytest.mark.parametrize("encoding", [SLC, Encoding(2)])
def test_simulated_faults_change_as_many_cells_as_they_say(encoding):
    job = tiny_job(encoding=encoding)
    cells = []
    for copy in range(64):
        faults = rules._flipped(job, rules.stream_key(job.key_for("training faults"), copy), copy)
        changed = apply_map(job.held, faults)
        of_copy = 0
        for codes, now in zip(job.held, changed, strict=True):
            per_weight = encoding.cells_per_weight
            every = np.arange(codes.size * per_weight)
            of_copy += int((encoding.levels_of(codes, every) != encoding.levels_of(now, every)).sum())
        cells.append(of_copy)
    assert cells == [1, 2, 4, 8] * 16


def test_training_faults_are_a_stream_of_their_own(job):
    """Neither two copies share one, nor two purposes, nor anything that is drawn from a device's own key."""
    key = job.key_for("training faults")
    keys = {rules.stream_key(key, i) for i in range(256)} | {job.key, job.key_for("optimised"), key}
    assert len(keys) == 259
    assert tiny_job().key_for("training faults") != key
    first, second = (rules._flipped(job, rules.stream_key(key, i), 3) for i in (3, 7))
    assert not all(np.array_equal(a, b) for a, b in zip(first.cells, second.cells, strict=True))


def unseen(shifts, chosen):
    return np.exp(-shifts[:, list(chosen)].sum(axis=1)).sum()


TINY_SHIFTS = st.integers(1, 6).flatmap(
    lambda m: st.lists(
        st.lists(st.sampled_from([0.0, 0.01, 0.5, 1.0, 3.0, 1e6]), min_size=m, max_size=m),
        min_size=1,
        max_size=6,
    )
)


@settings(deadline=None, max_examples=150)
@given(TINY_SHIFTS, st.data())
def test_cover_is_never_worse_than_the_first_and_not_far_from_the_best(shifts, data):
    """A greedy choice sees at least 1 - 1/e of what the best does (Nemhauser, Wolsey and Fisher, Math. Program. 14, 1978)."""
    shifts = np.array(shifts)
    copies, m = shifts.shape
    count = data.draw(st.integers(1, m))
    chosen = cover(shifts, count)
    assert len(set(chosen.tolist())) == count and set(chosen.tolist()) <= set(range(m))
    rounding = 1e-3 * count
    assert unseen(shifts, chosen) <= unseen(shifts, range(count)) + rounding
    best = min(unseen(shifts, some) for some in itertools.combinations(range(m), count))
    if count == 1:
        assert unseen(shifts, chosen) <= best + rounding
    assert copies - unseen(shifts, chosen) >= (1 - 1 / np.e) * (copies - best) - rounding


def test_of_equals_the_first_is_taken():
    assert cover(np.ones((3, 5)), 3).tolist() == [0, 1, 2]
    assert cover(np.array([[0.0, 9.0, 9.0]]), 1).tolist() == [1]


def test_bad_input():
    with pytest.raises(UserError, match=r"no rule 'boundry' for test pictures.*did you mean.*boundary"):
        select_pictures("boundry", tiny_job())
    with pytest.raises(UserError, match="to test with"):
        select_pictures("min_margin", replace(tiny_job(), count=100_000))
