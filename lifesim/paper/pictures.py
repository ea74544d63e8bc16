"""Which pictures the paper's test shows a network: random ones, or chosen for what they reveal, as they are or made adversarial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.detection.criteria import Golden
from lifesim.detection.examples import fgsm_examples
from lifesim.detection.screening import softmax
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.paper.readings import Cells, Condition
from lifesim.paper.settings import COUNTS, Settings, dataset_of, logits_of, model_of
from lifesim.scenario.network import Network
from lifesim.streams import generator, stream_key

MOST = max(COUNTS)
_AT_ONCE = 32
_SEEN_BEFORE = 32
"""How many times less a faulty network counts that one picture more has seen."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Test pictures of one network, as numbers in the data set's part ``test``, best first: ``aet`` chosen as adversarial examples, ``origin`` as they
    are, if that was asked for; ``random`` at random.
    """

    aet: Sequence[int]
    origin: Sequence[int]
    random: Sequence[int]


def choose(settings: Settings, name: str, cells: Cells, *, origin: bool = True) -> Chosen:
    """Choose pictures for a network in one- or two-bit cells, by faulty networks drawn for this alone; without ``origin`` adversarial ones only.

    Greedily, one after the other the picture with which SDC-3 % sees most of the networks not seen before (Nemhauser, Wolsey and Fisher, 1978),
    over the conditions of all figures of these cells: a device has one set of pictures, whatever will happen to it.
    """
    size, reading = settings.size, settings.reading_of()
    network = settings.network(name)
    model = model_of(network)
    available = len(dataset_of(network).split["test"])
    order = generator(stream_key("paper", settings.seed, "pictures", name)).permutation(available)
    candidates = np.sort(order[: size.candidates])
    clean, adversarial = both(model, network, candidates)
    parts = {"aet": adversarial, "origin": clean} if origin else {"aet": adversarial}
    seen: dict[str, list[np.ndarray]] = {part: [] for part in parts}
    conditions = settings.conditions(name, cells)
    for condition in conditions:
        for part, pictures in parts.items():
            golden = golden_of(model, pictures)
            for copies in faulty_copies(
                settings, name, model, condition, "screening", size.screening // len(conditions)
            ):
                confidences = softmax(logits_of(model, copies, pictures))
                seen[part].append(reading.deviates("sdc3", golden, confidences))
    best = {
        part: [int(candidates[i]) for i in greedily(np.concatenate(of_part), MOST)]
        for part, of_part in seen.items()
    }
    return Chosen(best["aet"], best.get("origin", []), [int(i) for i in order[: MOST * size.random_sets]])


def greedily(seen: np.ndarray, count: int) -> list[int]:
    """Return ``count`` pictures of those that show which networks to be faulty (bool [networks, pictures]), best first; of equals the first.

    Each next one sees the most of the networks that the fewest have seen. The first few are what would have been chosen as so many.
    """
    times, chosen = np.zeros(len(seen), np.int64), []
    for _ in range(count):
        # Whole numbers: no rounding decides. Seen four times is seen well enough.
        worth = _SEEN_BEFORE ** np.maximum(4 - times, 0)
        gain = worth @ seen.astype(np.int64)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        times += seen[:, chosen[-1]]
    return chosen


def both(model: Model, network: Network, which: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures of the part ``test`` as they are and as adversarial examples, uint8 [m, channels, height, width]."""
    pictures, labels = (array[np.asarray(which)] for array in dataset_of(network).part("test"))
    examples = fgsm_examples(Evaluator.of(model), model.codes, pictures, labels, network.fgsm_epsilon)
    return pictures, examples


def golden_of(model: Model, pictures: np.ndarray) -> Golden:
    """Return what the network shows without faults."""
    return Golden.of(softmax(logits_of(model, [model.codes], pictures))[0])


def faulty_copies(
    settings: Settings, name: str, model: Model, condition: Condition, purpose: str, count: int
):
    """Yield ``count`` faulty networks, some at a time (lists of copies); each has a stream of its own, and ``purpose`` keeps those apart that must not be the same."""
    reading = settings.reading_of()
    key = stream_key("paper", settings.seed, purpose, name, condition.key)
    for first in range(0, count, _AT_ONCE):
        yield [
            reading.faulty(model, condition, stream_key(key, i))
            for i in range(first, min(first + _AT_ONCE, count))
        ]
