"""From which score on an alarm is worth acting on, or a rung of the ladder not enough: examples of faulty devices, made before the run.

Nobody knows a device's true accuracy, but the score of a test can be compared with what the same score meant on networks that were made
faulty on purpose. Random worn and expired cells of several rates are put into the clean network; the cloud's validation pictures give the
loss of accuracy, the test gives the score.
"""

from __future__ import annotations

import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.faults import FaultMap, apply_map, differing_cells, random_map
from lifesim.detection.prediction import LossPredictor
from lifesim.detection.reading import Readout
from lifesim.detection.testset import TestSet
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import Evaluator, correct_in_part
from lifesim.network.model import Model
from lifesim.recovery.nearest import nearest_codes
from lifesim.scenario.models import Group
from lifesim.streams import stream_key

RATES = np.geomspace(1e-5, 3e-2, 12)  # of all cells; from a handful to what leaves no network working
DRAWS = 4  # for each rate and mechanism


def least_scores(
    group: Group,
    model: Model,
    encoding: Encoding,
    test_set: TestSet,
    rule: Readout,
    seed: int,
    torch_device: str,
) -> tuple[int, int | None]:
    """Return the lowest score of an alarm that the group's policy acts on, 0 where it acts on all; and the lowest score after nearest codes have
    been written with which the cloud is called, None where they never are.
    """
    act_when, policy = group.policy.act_when, group.policy
    acts_on_all, fits = act_when.kind == "alarm", "nearest_code" in policy.ladder
    if acts_on_all and not fits:
        return 0, None
    maps = _examples(group, model, encoding, seed)
    copies = [apply_map(model.codes, faults) for faults in maps]
    if fits:
        copies += [nearest_codes(model.codes, faults) for faults in maps]
    data = group.network.data
    correct = correct_in_part(model, [model.codes, *copies], data, "validation", torch_device)
    losses = (correct[0] - correct[1:]) / len(load_dataset(data).split["validation"])
    evaluator = Evaluator.of(model, torch_device)
    answer = evaluator.confidences if rule.softmax else evaluator.logits
    scores = rule.score(test_set.golden, answer(copies, test_set.pictures))
    climb_from = LossPredictor.fit(scores, losses).least_score(policy.climb_above) if fits else None
    if acts_on_all:
        return 0, climb_from
    if group.schedule.kind == "readback":
        wrong = (differing_cells(model.codes, held, encoding) for held in copies)
        scores = np.array([sum(map(len, cells)) for cells in wrong])
    masked = slice(len(maps))
    return LossPredictor.fit(scores[masked], losses[masked]).least_score(act_when.above), climb_from


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
