"""From which score on an alarm is worth acting on, or a rung of the ladder not enough: examples of faulty devices, made before the run.

Nobody knows a device's true accuracy, but the score of a test can be compared with what the same score meant on networks that were made
faulty on purpose. Random worn and expired cells of several rates are put into the clean network; the cloud's validation pictures give the
loss of accuracy, the test gives the score.
"""

from __future__ import annotations

import math

import numpy as np

from lifesim.crossbar.bank import with_defects
from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.faults import FaultMap, apply_map, differing_cells, random_map
from lifesim.detection.prediction import NEVER, LossPredictor
from lifesim.detection.reading import Readout
from lifesim.detection.testset import TestSet
from lifesim.fleet.cells import first_lines
from lifesim.fleet.expectation import expected_wear
from lifesim.fleet.hardware import Hardware
from lifesim.fleet.silicon import map_of_layers
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import Evaluator, correct_in_part
from lifesim.network.model import Model
from lifesim.recovery.fitting import Fitting
from lifesim.scenario.models import Group
from lifesim.scenario.technology import Technology
from lifesim.streams import generator, stream_key

RATES = np.geomspace(1e-5, 3e-2, 12)  # of all cells; from a handful to what leaves no network working
FITTED_RATES = np.geomspace(1e-3, 0.3, 12)  # of the cells that wear out first: nearest codes bear more
DRAWS = 4  # for each rate and mechanism
LINES = 1, 2, 3, 4, 6, 8  # that have failed, where technology has them fail
FITTED_DRAWS = 8
_EARLY_SHARE = 0.01  # of the first bank's cells, at which the wear of banks is compared


def least_score_to_act(
    group: Group,
    model: Model,
    encoding: Encoding,
    test_set: TestSet,
    rule: Readout,
    seed: int,
    torch_device: str,
) -> int:
    """Return the lowest score of an alarm that the group's policy acts on, 0 where it acts on all."""
    act_when = group.policy.act_when
    if act_when.kind == "alarm":
        return 0
    copies = [apply_map(model.codes, faults) for faults in _examples(group, model, encoding, seed)]
    scores, losses = _scores_and_losses(group, model, copies, test_set, rule, torch_device)
    if group.schedule.kind == "readback":
        wrong = (differing_cells(model.codes, held, encoding) for held in copies)
        scores = np.array([sum(map(len, cells)) for cells in wrong])
    return LossPredictor.fit(scores, losses).least_score(act_when.above)


def least_score_to_climb(
    group: Group,
    model: Model,
    hardware: Hardware,
    test_set: TestSet,
    rule: Readout,
    seed: int,
    torch_device: str,
    fitting: Fitting | None,
) -> int | None:
    """Return the lowest score after what cells can hold has been written with which the next rung is climbed, None where it never is (no ``fitting``).

    No example that loses more than the policy's ``climb_above`` stays below: a mean loss would leave the unlucky where they are. Examples are worn
    where reloads wear cells out: a stuck cell of a small layer counts for more than one of a large, and one that several layers pass through for all of them.
    Where whole lines fail, some have failing lines: the score of as much harm is another.
    """
    if fitting is None:
        return None
    wear, at_top = _relative_wear(group, hardware), group.technology.wear_stuck_at_1_share
    key = stream_key(seed, "loss after fitting", model.digest.hex())
    maps = [
        _worn_map(stream_key(key, i, draw), hardware, np.minimum(rate * wear, 1.0), at_top)
        for i, rate in enumerate(FITTED_RATES)
        for draw in range(FITTED_DRAWS)
    ]
    if group.technology.line_failures_per_year:
        lines = stream_key(key, "lines")
        maps += [
            _broken_map(stream_key(lines, count, draw), hardware, group.technology, count)
            for count in LINES
            for draw in range(FITTED_DRAWS)
        ]
    copies = [fitting.deployed(model.codes, faults) for faults in maps]
    scores, losses = _scores_and_losses(group, model, copies, test_set, rule, torch_device)
    harmed = scores[np.rint(1000 * (losses - group.policy.climb_above)) > 0]
    return int(harmed.min(initial=NEVER))


def _scores_and_losses(
    group: Group,
    model: Model,
    copies: list[tuple[np.ndarray, ...]],
    test_set: TestSet,
    rule: Readout,
    torch_device: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a test would show of copies, and what they lose of the clean network's accuracy on the validation pictures."""
    data = group.network.data
    correct = correct_in_part(model, [model.codes, *copies], data, "validation", torch_device)
    losses = (correct[0] - correct[1:]) / len(load_dataset(data).split["validation"])
    evaluator = Evaluator.of(model, torch_device)
    answer = evaluator.confidences if rule.softmax else evaluator.logits
    return rule.score(test_set.golden, answer(copies, test_set.pictures)), losses


def _relative_wear(group: Group, hardware: Hardware) -> np.ndarray:
    """Return for each bank the share of worn cells in units of the most worn bank's, when that is small; 1 where reloads wear none."""
    wear = [expected_wear(group, bank) for bank in hardware.layout.banks]
    first_s = min(expectation.time_to(_EARLY_SHARE) for expectation in wear)
    if not math.isfinite(first_s):
        return np.ones(len(wear))
    shares = np.array([float(expectation.share(first_s)) for expectation in wear])
    return shares / shares.max()


def _worn_map(key: int, hardware: Hardware, rates: np.ndarray, at_top: float) -> FaultMap:
    """Return shares ``rates`` of the banks' cells, at the top level with probability ``at_top``, else at 0, as the layers meet them."""
    rng, encoding, layout = generator(key), hardware.encoding, hardware.layout
    cells = [
        np.sort(rng.choice(bank.n_cells, round(rate * bank.n_cells), replace=False))
        for bank, rate in zip(layout.banks, rates.tolist(), strict=True)
    ]
    levels = [np.where(rng.random(len(c)) < at_top, encoding.top_level, 0) for c in cells]
    return map_of_layers(layout.regions, list(zip(cells, levels, strict=True)), encoding)


def _broken_map(key: int, hardware: Hardware, technology: Technology, count: int) -> FaultMap:
    """Return the first ``count`` lines of a device to fail, as the layers meet them."""
    none = np.empty(0, np.int32), np.empty(0, np.uint8)
    of_banks = first_lines(technology, key, hardware.layout.banks, count)
    stuck = [with_defects(*none, lines) for lines in of_banks]
    return map_of_layers(hardware.layout.regions, stuck, hardware.encoding)


def _examples(group: Group, model: Model, encoding: Encoding, seed: int) -> list[FaultMap]:
    """Return the maps of faulty devices: cells worn out or expired, of several rates."""
    technology = group.technology
    shares_at_top = {
        "worn": technology.wear_stuck_at_1_share,
        "expired": float(technology.retention_fails_to == "lrs"),
    }
    layer_cells = [codes.size * encoding.cells_per_weight for codes in model.codes]
    return [
        random_map(stream_key(key, i, draw), layer_cells, rate, at_top, encoding)
        for mechanism, at_top in shares_at_top.items()
        for key in [stream_key(seed, "loss prediction", model.digest.hex(), mechanism)]
        for i, rate in enumerate(RATES)
        for draw in range(DRAWS)
    ]
