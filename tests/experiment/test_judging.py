"""Judging states: exact in full, unbiased by design, nothing looked at twice."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from lifesim.crossbar.encoding import SLC
from lifesim.crossbar.faults import apply_map
from lifesim.experiment import judging
from lifesim.experiment.judging import (
    Judgement,
    Rule,
    Run,
    as_new,
    correct_if_known,
    estimate,
    judge,
    judge_states,
    looks,
    piece_order,
    planned_pieces,
    prospects,
)
from lifesim.experiment.paired import Tally
from lifesim.network.changes import Transitions
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import PICTURES_PER_PIECE, Evaluator
from lifesim.scenario.network import DataSource

SOURCE = DataSource("mnist5k")
PICTURES = 1000


class Answers:
    """States of which it is known what they get right, bool [states, pictures]; notes what was asked."""

    def __init__(self, right: np.ndarray) -> None:
        self.right = right
        self.asked: list[tuple[int, int]] = []

    def __call__(self, which: np.ndarray, pieces: np.ndarray) -> np.ndarray:
        assert (np.diff(pieces) > 0).all()
        self.asked += [(int(state), int(piece)) for state in which for piece in pieces]
        of_piece = np.arange(self.right.shape[1]) // PICTURES_PER_PIECE
        return self.right[which][:, np.isin(of_piece, pieces)]


def made_up(
    losses: list[int], gains: list[int], pictures: int = PICTURES, wrong: int = 40, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """What the clean network gets right, and states that have lost and gained so many pictures."""
    rng = np.random.default_rng(seed)
    clean = rng.permutation(np.arange(pictures) >= wrong)
    states = np.tile(clean, (len(losses), 1))
    for state, lost, gained in zip(states, losses, gains, strict=True):
        state[rng.choice(np.flatnonzero(clean), lost, replace=False)] = False
        state[rng.choice(np.flatnonzero(~clean), gained, replace=False)] = True
    return clean, states


def rule(confidence: float, pictures: int = PICTURES, wrong: int = 40, tolerated: int = 10) -> Rule:
    return Rule(SOURCE, pictures, pictures - wrong, pictures - wrong - tolerated, confidence)


LOSSES = [0, 3, 8, 10, 11, 14, 30, 200, 5, 18]
GAINS = [0, 1, 2, 0, 0, 3, 4, 10, 9, 9]


def test_judged_exactly_a_state_is_what_it_is() -> None:
    clean, right = made_up(LOSSES, GAINS)
    for confidence in (1.0, 0.99):
        spec = rule(confidence)
        found = judge(
            Answers(right), [Judgement()] * len(right), clean, piece_order(3, spec.pieces), True, spec
        )
        assert [correct_if_known(judgement, spec) for judgement in found] == right.sum(axis=1).tolist()
        assert [estimate(judgement, spec) for judgement in found] == [(n, 0.0) for n in right.sum(axis=1)]
        assert [judgement.in_spec for judgement in found] == (right.sum(axis=1) >= spec.required).tolist()


def test_with_confidence_1_every_picture_is_looked_at_in_one_go() -> None:
    clean, right = made_up(LOSSES, GAINS)
    spec, answers = rule(1.0), Answers(right)
    found = judge(answers, [Judgement()] * len(right), clean, piece_order(None, spec.pieces), False, spec)
    assert looks(spec) == (spec.pieces,)
    assert [correct_if_known(judgement, spec) for judgement in found] == right.sum(axis=1).tolist()
    assert answers.asked == [(state, piece) for state in range(len(right)) for piece in range(spec.pieces)]


def test_going_on_looks_at_what_has_not_been_looked_at() -> None:
    clean, right = made_up(LOSSES, GAINS)
    spec, answers = rule(0.99), Answers(right)
    order = piece_order(7, spec.pieces)
    first = judge(answers, [Judgement()] * len(right), clean, order, False, spec)
    assert {judgement.pieces for judgement in first} >= {planned_pieces(spec), spec.pieces}
    assert all(
        judgement.in_spec == (n >= spec.required) for judgement, n in zip(first, right.sum(1), strict=True)
    )
    seen_first = set(answers.asked)
    assert len(answers.asked) == len(seen_first) == sum(judgement.pieces for judgement in first)
    unfinished = [state for state, judgement in enumerate(first) if judgement.pieces < spec.pieces]
    answers = Answers(right[unfinished])
    found = judge(answers, [first[state] for state in unfinished], clean, order, True, spec)
    assert not {(unfinished[state], piece) for state, piece in answers.asked} & seen_first
    assert [correct_if_known(judgement, spec) for judgement in found] == right[unfinished].sum(
        axis=1
    ).tolist()
    # The estimate is of the pieces that had been decided on beforehand, and stays.
    assert [estimate(judgement, spec) for judgement in found] == [
        estimate(first[s], spec) for s in unfinished
    ]


def test_a_state_is_judged_as_if_it_were_alone() -> None:
    clean, right = made_up(LOSSES, GAINS)
    spec = rule(0.95)
    order = piece_order(2, spec.pieces)
    together = judge(Answers(right), [Judgement()] * len(right), clean, order, False, spec)
    alone = [judge(Answers(state[None]), [Judgement()], clean, order, False, spec)[0] for state in right]
    assert together == alone


def test_healthy_and_broken_devices_take_a_part_of_the_pictures() -> None:
    clean, right = made_up([0, 2, 300], [0, 0, 0])
    spec = rule(0.99)
    found = judge(Answers(right), [Judgement()] * 3, clean, piece_order(0, spec.pieces), False, spec)
    assert [judgement.in_spec for judgement in found] == [True, True, False]
    assert found[0].pieces <= planned_pieces(spec) + 4 and found[2].pieces == planned_pieces(spec)
    assert planned_pieces(spec) < 0.5 * spec.pieces < planned_pieces(rule(0.999))


def test_the_estimate_is_unbiased_and_its_variance_too() -> None:
    """Every set of pieces that may come first, with what follows decided by what they showed: exact."""
    pictures, wrong = 155, 15  # the last piece is short
    clean, right = made_up([3, 12, 40], [0, 4, 9], pictures, wrong, seed=4)
    spec = rule(0.6, pictures, wrong, tolerated=20)
    planned = planned_pieces(spec)
    assert planned == 8 < spec.pieces == 10
    found, went_on = [], set()
    for first in combinations(range(spec.pieces), planned):
        order = np.array([*first, *(set(range(spec.pieces)) - set(first))])
        judged = judge(Answers(right), [Judgement()] * 3, clean, order, False, spec)
        went_on |= {judgement.pieces > planned for judgement in judged}
        found.append([estimate(judgement, spec) for judgement in judged])
    estimates, variances = np.moveaxis(np.array(found), 2, 0)
    assert estimates.mean(axis=0) == pytest.approx(right.sum(axis=1), abs=1e-9)
    assert variances.mean(axis=0) == pytest.approx(estimates.var(axis=0), rel=1e-9)
    assert went_on == {False, True}  # otherwise there is nothing that could have biased it


def test_the_last_look_is_at_everything() -> None:
    for pictures in (16, 100, 129, 1000, 8400):
        for confidence in (0.5, 0.9, 0.999, 1.0):
            spec = rule(confidence, pictures, wrong=pictures // 25, tolerated=pictures // 100)
            counts = looks(spec)
            assert counts[0] == planned_pieces(spec) and counts[-1] == spec.pieces
            assert list(counts) == sorted(set(counts))


def test_devices_look_in_orders_of_their_own() -> None:
    orders = [piece_order(key, 63).tolist() for key in (1, 2, 1)]
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == piece_order(None, 63).tolist() == list(range(63))


def test_bounds_of_states_lie_below_them() -> None:
    clean, right = made_up([3, 12, 60, 200, 300] * 20, [0, 4, 9, 8, 20] * 20)
    spec, truth = rule(0.9), right.sum(axis=1)
    found = [
        judge(Answers(state[None]), [Judgement()], clean, piece_order(key, spec.pieces), False, spec)[0]
        for key, state in enumerate(right)
    ]
    lowest, likely = prospects(found, spec)
    known = np.array([judgement.pieces == spec.pieces for judgement in found])
    in_spec = np.array([judgement.in_spec for judgement in found])
    assert (lowest[known] == truth[known]).all()
    assert (lowest[in_spec] >= spec.required).all() and (lowest[in_spec] <= spec.pictures).all()
    out = ~in_spec & ~known
    assert out.sum() > 20
    assert (lowest[out] <= truth[out]).mean() >= 0.9
    assert (lowest[out] < spec.required).all() and (lowest[out] > truth[out] - 200).all()
    assert (likely >= lowest).all() and (likely[known] == truth[known]).all()
    assert np.abs((likely - truth)[~known]).mean() < 15
    assert [column.tolist() for column in prospects([], spec)] == [[], []]


def test_a_device_as_new_is_known_without_looking() -> None:
    spec = rule(0.99)
    found = as_new(spec)
    assert correct_if_known(found, spec) == spec.clean_correct and found.in_spec
    assert estimate(found, spec) == (spec.clean_correct, 0.0)
    assert [column.tolist() for column in prospects([found], spec)] == [[spec.clean_correct]] * 2


@pytest.fixture(scope="module")
def damaged(mlp_model, random_damage):
    """Maps of stuck cells, from hardly to badly damaged, and what the network gets right under each."""
    maps = [
        random_damage(mlp_model, share, seed)
        for seed, share in enumerate((0.0, 1e-5, 1e-4, 5e-4, 2e-3, 2e-2))
    ]
    pictures, labels = load_dataset(SOURCE).part("spec")
    copies = [apply_map(mlp_model.codes, m) for m in maps]
    return maps, Evaluator.of(mlp_model).logits(copies, pictures).argmax(axis=2) == labels


def with_all_weights(model, maps, key: int) -> Run:
    return Run([apply_map(model.codes, m) for m in maps], key)


def as_changes(model, maps, key: int) -> Run:
    return Run(Transitions(model, SLC).between([m.overlay() for m in maps], independent=False), key)


@pytest.mark.parametrize("run_of", [with_all_weights, as_changes])
def test_networks_are_judged_by_what_they_answer(mlp_model, damaged, run_of) -> None:
    maps, right = damaged
    clean_correct = int(right[0].sum())
    for confidence, exactly in ((1.0, False), (0.95, True), (0.95, False)):
        spec = Rule(SOURCE, PICTURES, clean_correct, clean_correct - 10, confidence)
        keys = [4] * 3 + [5] * 3
        runs = [run_of(mlp_model, maps[:3], 4), run_of(mlp_model, maps[3:], 5)]
        assert [len(run) for run in runs] == [3, 3]
        found = judge_states(mlp_model, SLC, runs, [Judgement()] * 6, exactly, spec)
        assert [judgement.in_spec for judgement in found] == (right.sum(axis=1) >= spec.required).tolist()
        for judgement, truth, key in zip(found, right, keys, strict=True):
            order = np.repeat(piece_order(key, spec.pieces)[: judgement.pieces], PICTURES_PER_PIECE)
            looked = np.isin(np.arange(PICTURES) // PICTURES_PER_PIECE, order)
            clean = right[0]
            counted = (clean, ~clean, clean & ~truth, ~clean & truth)
            assert judgement.seen == Tally(*(int((kind & looked).sum()) for kind in counted))
            if confidence == 1.0 or exactly:
                assert correct_if_known(judgement, spec) == truth.sum()
        if confidence < 1.0 and not exactly:
            assert min(judgement.pieces for judgement in found) < spec.pieces


def test_the_clean_network_answers_once(mlp_model, damaged, monkeypatch: pytest.MonkeyPatch) -> None:
    _, right = damaged
    first = judging.clean_right(mlp_model, SOURCE, "cpu")
    assert (first == right[0]).all()
    monkeypatch.setattr(judging.Evaluator, "of", None)
    same = mlp_model.with_codes(mlp_model.codes)  # as it comes to another process
    assert judging.clean_right(same, SOURCE, "cpu") is first
