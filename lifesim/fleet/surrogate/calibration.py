"""Calibrates the response of a network on evaluations of faulty copies of it, and keeps what it has found.

The faults are those that devices of the group can have: each example is worn and aged by random amounts, up to what the scenario's horizon
brings to a harsh device. Of four examples one is held out, and says how far the fit is off.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

from lifesim.crossbar.faults import FaultMap, differing_cells
from lifesim.detection.reading import ReadNoise
from lifesim.detection.testset import TestSet
from lifesim.files import atomic_write, cache_directory
from lifesim.fleet.build import Plan
from lifesim.fleet.cells import retention_of
from lifesim.fleet.environment import nominal_clock
from lifesim.fleet.expectation import expected_wear
from lifesim.fleet.redeployment import Redeployment, prepare
from lifesim.fleet.surrogate.harm import KINDS, LOSS, TEST, TEST_AGAIN, BankHarm, bank_harms, codes_with
from lifesim.fleet.surrogate.response import Quantiles, Reading, Response, Retrained
from lifesim.network.answers import right_sooner
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import Evaluator, Noise
from lifesim.network.model import Model
from lifesim.physics.distributions import failed_share
from lifesim.scenario.load import canonical_json
from lifesim.scenario.models import Scenario
from lifesim.streams import generator, stream_key

CODE_VERSION = 5
_MACS = 60e9  # that the examples' accuracies may take
_FEWEST, _MOST = 240, 1600  # examples
_VISITS = 8  # read with noise, of each example
_RETRAININGS = 24
_FAULTS_AFTER = 24  # examples of faults after each of them
_PICTURES_AGAIN = 128
_PATHS, _HALVINGS, _FAR = 96, 14, 8.0  # of faults, to see how what a test shows changes as they become more
_EMPTY = len(Redeployment(True, bytes(16), b"", 0, b"").encode())
_DECADES_AGED = 2  # from the shortest time since a programming to the horizon
_FEW = 0.1  # expected cells: what brings less by the horizon is not drawn alone
_MOST_SHARE = 0.03  # of a bank's cells that are faulty: beyond, no network works
_BAND = (-1.7, 0.4)  # decades below and above what is expected that examples are spread over

Faults = list[tuple[np.ndarray, np.ndarray]]
"""Of each bank, cells and levels."""


@dataclass(frozen=True, eq=False, slots=True)
class Calibrated:
    """A group's surrogate: the harm of its cells, the response to it, and how far that is off on examples that were held out.

    ``courses``: of what tests reach, of devices as deployed and after a redeployment, in random order by harm (:meth:`Quantiles.courses`).
    """

    harms: list[BankHarm]
    response: Response
    report: dict[str, Any]
    courses: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, harms: list[BankHarm], response: Response, report: dict[str, Any]) -> Calibrated:
        courses = tuple(
            of.courses(response.persistence, stream_key("courses", number))
            for number, of in enumerate((response.reached, response.reached_again))
        )
        return cls(harms, response, report, courses)


@dataclass(frozen=True, eq=False, slots=True)
class _Examples:
    """Examples [n]: harm [n, kinds], what a test without noise has reached, pictures lost."""

    harm: np.ndarray
    reached: np.ndarray
    lost: np.ndarray


def make_surrogates(
    plans: Mapping[str, Plan], scenario: Scenario, torch_device: str = "cpu"
) -> dict[str, Calibrated]:
    """Return the surrogate of each group."""
    return {name: calibrated(plan, scenario, torch_device) for name, plan in plans.items()}


def calibrated(plan: Plan, scenario: Scenario, torch_device: str = "cpu") -> Calibrated:
    """Return a group's surrogate: from the user's cache, or calibrated and kept there."""
    fingerprint = _fingerprint(plan, scenario)
    if fingerprint not in _held:
        if len(_held) >= _MOST_HELD:
            _held.clear()
        _held[fingerprint] = _read_or_made(fingerprint, plan, scenario, torch_device)
    return _held[fingerprint]


_MOST_HELD = 16
_held: dict[str, Calibrated] = {}  # of this process: a region needs what the one before did


def _read_or_made(fingerprint: str, plan: Plan, scenario: Scenario, torch_device: str) -> Calibrated:
    path = cache_directory() / f"surrogate-{fingerprint}.npz"
    report_path = path.with_suffix(".json")
    with contextlib.suppress(OSError, ValueError, KeyError):
        response, report = Response.decode(path.read_bytes()), json.loads(report_path.read_text())
        return Calibrated.of(_harms(plan, response.retrained), response, report)
    response, report, harms = _Calibration(plan, scenario, torch_device).run()
    with contextlib.suppress(OSError):
        atomic_write(path, response.encode())
        atomic_write(report_path, json.dumps(report))
    # As it would be read: the same bytes whether it has been kept or not.
    return Calibrated.of(harms, Response.decode(response.encode()), json.loads(json.dumps(report)))


def _harms(plan: Plan, retrained: Retrained | None) -> list[BankHarm]:
    again = None if retrained is None else retrained.shown
    return bank_harms(
        plan.model, plan.group.network.data, plan.test_set.pictures, again, plan.hardware.layout, plan.hardware.encoding, _expired_level(plan)
    )  # fmt: skip


def _expired_level(plan: Plan) -> int:
    return plan.hardware.encoding.top_level if plan.group.technology.retention_fails_to == "lrs" else 0


def _fingerprint(plan: Plan, scenario: Scenario) -> str:
    """Return what shapes the response: network, cells, tests, retraining, and how hard the scenario is on cells; not how many devices there are."""
    group = plan.group.model_dump(
        mode="json", exclude={"count", "link", "backhaul", "commissioning_s", "prices"}
    )
    rest = json.loads(canonical_json(scenario))
    shaped_by = (
        CODE_VERSION, plan.model.digest.hex(), plan.test_set.pictures.tobytes(), group, rest["cloud"]["retraining"], scenario.horizon_s, scenario.seed,
        rest["spec"]["tolerance"],
    )  # fmt: skip
    return hashlib.blake2b(repr(shaped_by).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, eq=False, slots=True)
class _Redeployed:
    """An example device after its redeployment: its model and test set, the stuck cells that these were made for, pictures lost with these."""

    model: Model
    test_set: TestSet
    worn: Faults
    lost: int


class _Calibration:
    def __init__(self, plan: Plan, scenario: Scenario, torch_device: str):
        self._plan = plan
        self._scenario = scenario
        self._level = _expired_level(plan)
        self._torch_device = torch_device
        self._key = stream_key(scenario.seed, "surrogate", plan.model.digest.hex())
        self._spec = load_dataset(plan.group.network.data).part("spec")
        self._evaluator = Evaluator.of(plan.model, torch_device, plan.hardware.encoding)
        budget = int(_MACS / (plan.model.architecture.macs * len(self._spec[1])))
        self._n = max(_FEWEST, min(_MOST, budget))
        self._retrainings = _RETRAININGS if self._n > _MOST // 2 else max(6, _RETRAININGS * self._n // _MOST)

    def run(self) -> tuple[Response, dict[str, Any], list[BankHarm]]:
        plan = self._plan
        redeployed, retrained = self._retrained()
        self._harms = _harms(plan, retrained)
        faults = [self._faults(*self._draw(i), i) for i in range(self._n)]
        deployed = self._examples(plan.model, plan.test_set, faults, [], 0)
        again = self._after(redeployed) if redeployed else deployed
        rng = generator(stream_key(self._key, "ties"))
        reached, lost, errors = self._fitted(deployed, TEST, rng)
        reached_again, lost_again, errors_again = self._fitted(again, TEST_AGAIN if redeployed else TEST, rng)
        together = self._together(deployed, reached, lost, rng)
        reading = self._reading(faults, deployed.reached)
        persistence = self._persistence(reached, rng)
        response = Response(
            reached, lost, reached_again, lost_again, reading, together, persistence, retrained
        )
        report = {
            "examples": len(deployed.lost),
            "examples_after_retraining": len(again.lost) if redeployed else 0,
            "retrainings": len(redeployed),
            "persistence": persistence,
            "held_out": {"deployed": errors, **({"retrained": errors_again} if redeployed else {})},
        }
        return response, report, self._harms

    # -- faults --

    def _draw(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return how many cells of each bank of an example are stuck, and how many have expired."""
        plan, group = self._plan, self._plan.group
        rng = generator(stream_key(self._key, "example", number))
        banks = plan.hardware.layout.banks
        horizon_s = self._scenario.horizon_s
        worn_s = horizon_s * rng.random() ** 0.5
        aged_s = horizon_s * 10.0 ** rng.uniform(-_DECADES_AGED, 0.0)
        clock = nominal_clock(
            group.site, self._scenario.start, group.technology.retention_reference_c, group.technology.activation_energy_ev
        )  # fmt: skip
        z = rng.standard_normal(2)
        worn_s *= np.exp(-group.technology.endurance_spread_sigma_ln * z[0])
        age = clock.at(aged_s) * np.exp(-group.technology.retention_spread_sigma_ln * z[1])
        stuck = np.array([float(expected_wear(group, bank).share(worn_s)) for bank in banks])
        expired = np.array(
            [
                0.0 if bank.reloads_per_day else float(failed_share(retention_of(group.technology), age))
                for bank in banks
            ]
        )
        n_cells = np.array([bank.n_cells for bank in banks])
        kinds = number % 3  # stuck cells alone, expired ones alone, both
        if (stuck * n_cells).sum() < _FEW or (expired * n_cells).sum() < _FEW:
            kinds = 2
        found = []
        for share, absent in ((stuck, kinds == 1), (expired, kinds == 0)):
            share = np.minimum(share * 10.0 ** rng.uniform(*_BAND), _MOST_SHARE)
            found.append(np.zeros(len(banks), np.int64) if absent else rng.binomial(n_cells, share))
        if not (found[0].sum() or found[1].sum()):
            which = 0
            if (stuck * n_cells).sum() < (expired * n_cells).sum() or kinds == 1:
                which = 1
            weights = (stuck, expired)[which] * n_cells
            if weights.sum():
                found[which][rng.choice(len(banks), p=weights / weights.sum())] = 1
        return found[0], found[1]

    def _faults(self, stuck: np.ndarray, expired: np.ndarray, *number: int) -> tuple[Faults, Faults]:
        """Return random cells: stuck ones and expired ones."""
        rng = generator(stream_key(self._key, "cells", *number))
        technology, top = self._plan.group.technology, self._plan.hardware.encoding.top_level
        worn, soft = [], []
        for bank, n_stuck, n_expired in zip(self._plan.hardware.layout.banks, stuck, expired, strict=True):
            cells = rng.choice(bank.n_cells, n_stuck + n_expired, replace=False)
            at_top = rng.random(n_stuck) < technology.wear_stuck_at_1_share
            worn.append((cells[:n_stuck], np.where(at_top, top, 0).astype(np.uint8)))
            soft.append((cells[n_stuck:], np.full(n_expired, self._level, np.uint8)))
        return worn, soft

    def _harm(self, worn: Faults, soft: Faults) -> np.ndarray:
        harm = np.zeros(KINDS)
        for of_bank, *faults in zip(self._harms, worn, soft, strict=True):
            for cells, levels in faults:
                harm += of_bank.stuck[:, levels, cells].sum(axis=1, dtype=np.float64)
        return harm

    # -- evaluation --

    def _codes(self, model: Model, faults: Sequence[Faults]) -> tuple[np.ndarray, ...]:
        layout, encoding = self._plan.hardware.layout, self._plan.hardware.encoding
        for some in faults:
            model = model.with_codes(codes_with(model, layout, encoding, some))
        return model.codes

    def _examples(
        self,
        model: Model,
        test_set: TestSet,
        faults: Sequence[tuple[Faults, Faults]],
        before: Sequence[Faults],
        lost: int,
    ) -> _Examples:
        """Evaluate faults on top of those ``before``, with which ``model`` has ``lost`` pictures of those that the network gets right."""
        rule = test_set.rule or self._plan.rule
        answer = self._evaluator.confidences if rule.softmax else self._evaluator.logits
        harms, reached, losses = [], [], []
        clean = self._plan.spec_correct - lost
        for first in range(0, len(faults), 32):
            some = faults[first : first + 32]
            copies = [self._codes(model, [soft, *before, worn]) for worn, soft in some]
            harms += [self._harm(worn, soft) for worn, soft in some]
            shown = answer(copies, test_set.pictures)
            reached += (rule.progress(test_set.golden, shown) / 1000.0).tolist()
            right = right_sooner(model, copies, *self._spec, self._torch_device).sum(axis=1)
            losses += (clean - right).tolist()
        return _Examples(np.array(harms), np.array(reached, float), np.array(losses, float))

    def _retrained(self) -> tuple[list[_Redeployed], Retrained | None]:
        """Retrain example devices as the cloud would."""
        plan = self._plan
        encoding, layout = plan.hardware.encoding, plan.hardware.layout
        task = plan.task(self._scenario, self._torch_device)
        rows: list[tuple] = []
        redeployed: list[_Redeployed] = []
        for number in range(8 * self._retrainings):
            if len(rows) == self._retrainings:
                break
            worn, _ = self._faults(*self._draw(3 * number), 3 * number, 1)
            count = sum(len(cells) for cells, _ in worn)
            if not count:
                continue
            cells, levels = (
                [
                    np.concatenate([worn[r.bank][part] + part_of(r) for r in regions])
                    for regions in layout.regions
                ]
                for part, part_of in ((0, lambda r: r.first_cell), (1, lambda r: np.uint8(0)))
            )
            fault_map = FaultMap.of(cells, levels, encoding)
            message = prepare(task(plan.model, fault_map))
            redeployment = Redeployment.decode(message)
            model = redeployment.applied(plan.model, plan.agreement)
            test_set = TestSet.decode(redeployment.test_set, redeployment.pictures, plan.test_set)
            right = right_sooner(model, [self._codes(model, [worn])], *self._spec, self._torch_device).sum()
            lost = plan.spec_correct - int(right)
            changed = differing_cells(plan.model.codes, model.codes, encoding)
            rest = len(message) - len(redeployment.delta) - _EMPTY
            rows.append((
                count, redeployment.in_spec, len(redeployment.delta), rest, redeployment.pictures,
                [self._in_bank(changed, b) for b in range(len(layout.banks))], lost,
            ))  # fmt: skip
            redeployed.append(_Redeployed(model, test_set, worn, lost))
        if not rows:
            return [], None
        order = np.argsort([row[0] for row in rows], kind="stable")
        columns = [np.array([rows[i][c] for i in order]) for c in range(7)]
        pictures = np.concatenate([of.test_set.pictures for of in redeployed])
        rng = generator(stream_key(self._key, "pictures"))
        some = np.sort(rng.permutation(len(pictures))[:_PICTURES_AGAIN])
        return redeployed, Retrained(*columns, pictures[some])

    def _in_bank(self, cells: Sequence[np.ndarray], bank: int) -> int:
        """Return how many cells, given by layer, lie in a bank."""
        layout = self._plan.hardware.layout
        found = [np.empty(0, np.int64)]
        for of_layer, regions in zip(cells, layout.regions, strict=True):
            for region in regions:
                if region.bank == bank:
                    ends = region.first_cell, region.first_cell + layout.banks[bank].n_cells
                    first, end = np.searchsorted(of_layer, ends)
                    found.append(of_layer[first:end] - region.first_cell)
        return len(np.unique(np.concatenate(found)))

    def _after(self, redeployed: Sequence[_Redeployed]) -> _Examples:
        """Put new faults into example devices after their redeployment."""
        examples = []
        for number, of in enumerate(redeployed):
            draws = [_FAULTS_AFTER * number + i for i in range(_FAULTS_AFTER)]
            faults = [self._faults(*self._draw(self._n + draw), draw, 2) for draw in draws]
            examples.append(self._examples(of.model, of.test_set, faults, [of.worn], of.lost))
        return _Examples(
            *(np.concatenate([getattr(e, of) for e in examples]) for of in ("harm", "reached", "lost"))
        )

    def _reading(self, faults: Sequence[tuple[Faults, Faults]], reached: np.ndarray) -> Reading:
        """Visit examples that show little or nothing with read noise, each with a baseline of its own."""
        plan = self._plan
        rule, noise = plan.rule, plan.noise
        chosen = np.flatnonzero(reached < 3.0)[: self._n // 2].tolist()
        states = [None] * len(chosen) + chosen  # half of them without faults
        found: list[tuple] = []
        for number, example in enumerate(states):
            codes = plan.model.codes
            if example is not None:
                worn, soft = faults[example]
                codes = self._codes(plan.model, [soft, worn])
            at = 0.0 if example is None else reached[example]
            if not noise.sigma:
                shown = self._answers(codes, None)
                score = int(rule.score(plan.test_set.golden, shown)[0])
                found.append((at, at >= 1.0, at >= 1.0, score))
                continue
            key = stream_key(self._key, "read noise", number)
            base = self._noisy(plan.model.codes, noise, key, -1, range(rule.baseline_reads))
            golden = rule.baseline(base)
            for visit in range(_VISITS):
                reads = self._noisy(codes, noise, key, visit, range(1 + rule.rereads))
                alarms = rule.alarms(golden, reads)
                found.append((at, alarms[0], alarms.all(), int(rule.score(golden, reads[:1])[0])))
        return Reading.fit(*(np.array(column) for column in zip(*found, strict=True)))

    def _noisy(self, codes: Any, noise: ReadNoise, key: int, visit: int, reads: Sequence[int]) -> np.ndarray:
        pictures = len(self._plan.test_set.pictures)
        z = noise.draw(key, visit, reads, pictures, self._evaluator.noise_elements)
        return self._answers(codes, Noise(noise.sigma, z, noise.kind), len(reads))

    def _answers(self, codes: Any, noise: Noise | None, copies: int = 1) -> np.ndarray:
        answer = self._evaluator.confidences if self._plan.rule.softmax else self._evaluator.logits
        return answer([codes] * copies, self._plan.test_set.pictures, noise)

    # -- the fit --

    def _fitted(
        self, examples: _Examples, test: int, rng: np.random.Generator
    ) -> tuple[Quantiles, Quantiles, dict[str, Any]]:
        """Return what a test reaches and what is lost, fitted to three examples of four, and how far that is off on the fourth."""
        held = np.arange(len(examples.lost)) % 4 == 3
        seen_by_test, seen_by_loss = ((examples.harm[:, kind] > 0) for kind in (test, LOSS))
        reached = Quantiles.fit(
            examples.harm[~held & seen_by_test, test], examples.reached[~held & seen_by_test]
        )
        lost = Quantiles.fit(examples.harm[~held & seen_by_loss, LOSS], examples.lost[~held & seen_by_loss])
        return (
            reached,
            lost,
            self._errors(examples, held & seen_by_test & seen_by_loss, test, reached, lost, rng),
        )

    def _errors(
        self,
        examples: _Examples,
        held: np.ndarray,
        test: int,
        reached: Quantiles,
        lost: Quantiles,
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        if not held.any():
            return {"examples": 0}
        harm = examples.harm[held]
        shown, losses = examples.reached[held], examples.lost[held]
        alarm = reached.share_above(harm[:, test], 1.0 - 1e-9)
        allowed = self._plan.spec_correct - self._plan.required_correct
        out = lost.share_above(harm[:, LOSS], allowed + 0.5)
        expected = lost.mean(harm[:, LOSS])
        return {
            "examples": int(held.sum()),
            "alarm_share": float(np.mean(shown >= 1.0)),
            "alarm_share_error": float(np.mean(alarm) - np.mean(shown >= 1.0)),
            "alarm_brier": float(np.mean((alarm - (shown >= 1.0)) ** 2)),
            "accuracy_error": float((np.mean(losses) - np.mean(expected)) / self._plan.spec_pictures),
            "accuracy_rmse": float(np.sqrt(np.mean((losses - expected) ** 2)) / self._plan.spec_pictures),
            "out_of_spec_share": float(np.mean(losses > allowed)),
            "out_of_spec_share_error": float(np.mean(out) - np.mean(losses > allowed)),
            "out_of_spec_brier": float(np.mean((out - (losses > allowed)) ** 2)),
        }

    def _persistence(self, reached: Quantiles, rng: np.random.Generator) -> float:
        """Return how much of their place in what a test reaches devices keep from some harm to twice as much."""
        plan = self._plan
        rule = plan.test_set.rule or plan.rule
        answer = self._evaluator.confidences if rule.softmax else self._evaluator.logits
        least = math.exp(reached.log_harm[0])
        pairs: list[tuple[float, float, float]] = []
        for number in range(_PATHS):
            worn, soft = self._faults(*self._draw(number), number, 3)
            states, harms = [], []
            for halvings in range(_HALVINGS):
                # The first half of the cells of each bank, of these the first half, and so on.
                part = [
                    [(c[: len(c) >> halvings], v[: len(c) >> halvings]) for c, v in of] for of in (soft, worn)
                ]
                harm = self._harm(part[1], part[0])[TEST]
                if harm <= least:
                    break
                states.append(self._codes(plan.model, part))
                harms.append(harm)
            if len(states) < 2:
                continue
            shown = rule.progress(plan.test_set.golden, answer(states, plan.test_set.pictures)) / 1000.0
            places = special.ndtri(reached.places(np.array(harms), shown, rng.random(len(harms))))
            for i in range(1, len(states)):
                ratio = harms[i - 1] / harms[i]
                # Where nothing shows, or all, there is no telling a place; and what is far apart in harm is no neighbour.
                if ratio < _FAR and 0.0 < shown[i] < 3.0:
                    pairs.append((math.log2(ratio), places[i - 1], places[i]))
        if len(pairs) < 10:
            return 0.5
        doublings, a, b = np.array(pairs).T
        return float(np.clip(np.corrcoef(a, b)[0, 1], 0.01, 0.99) ** (1.0 / doublings.mean()))

    def _together(
        self, examples: _Examples, reached: Quantiles, lost: Quantiles, rng: np.random.Generator
    ) -> float:
        both = (examples.harm[:, TEST] > 0) & (examples.harm[:, LOSS] > 0)
        harm = examples.harm[both]
        a = reached.places(harm[:, TEST], examples.reached[both], rng.random(len(harm)))
        b = lost.places(harm[:, LOSS], examples.lost[both], rng.random(len(harm)))
        return float(np.corrcoef(stats.norm.ppf(a), stats.norm.ppf(b))[0, 1])
