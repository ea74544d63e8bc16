"""Which pictures a device tests itself with: rules by name, from the paper's random ones to ones made for what read noise leaves visible.

Whatever chooses between pictures is rounded to thousandths first; of equals the first is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.detection.examples import fgsm_examples, fgsm_signs, select_test_pictures
from lifesim.errors import UserError, did_you_mean
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import Evaluator, NoiseKind
from lifesim.network.forward import single_threaded
from lifesim.network.model import Model
from lifesim.network.sensitivity import Sensitivity
from lifesim.network.walk import walker_of
from lifesim.scenario.network import DataSource
from lifesim.streams import generator, stream_key

_LEAST_SIGMA = 1e-3  # also what pictures are optimised for: what stronger noise hides at first gives no gradient by which to bring it to light
_MARGIN_CANDIDATES = 512
_BOUNDARY_CANDIDATES = 64
_FARTHEST_STEP = 128  # grey levels; a power of two

_MOST_ASCENTS, _FEWEST_ASCENTS = 800, 20
_ASCENT_MACS = 4e9
_ASCENT_RATE = 0.2  # of the first half of the steps; then it falls to 0
_EDGE = 0.03
_SMOOTHNESS = 0.5, 0.02  # of ReLUs, at the first step and at the last

_TRAINING_MACS = 3e10
_MOST_COPIES = 256
_CELLS_PER_COPY = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class PictureJob:
    """What test pictures are made for.

    Parameters
    ----------
    model : what the device is meant to hold; its digest names the streams
    held : per layer int16 codes that its cells do hold
    data : of its part ``test`` the pictures come
    count : number of pictures
    fgsm_epsilon : step of the rule ``random``, in units of the network's input
    noise_sigma, noise_kind : read noise that the pictures must be seen through (see :class:`lifesim.network.evaluate.Noise`); where there is
        none, 0.1 % is assumed
    """

    model: Model
    held: tuple[np.ndarray, ...]
    data: DataSource
    count: int
    fgsm_epsilon: float
    noise_sigma: float = 0.003
    noise_kind: NoiseKind = "weight"
    encoding: Encoding = SLC
    torch_device: str = "cpu"

    @property
    def key(self) -> int:
        """Key of the stream that chooses from the data set: the same for all rules."""
        return stream_key("test pictures", self.model.digest.hex())

    def key_for(self, purpose: str) -> int:
        """Key of another stream of this job."""
        return stream_key("test pictures", self.model.digest.hex(), purpose)

    @property
    def evaluator(self) -> Evaluator:
        return Evaluator.of(self.model, self.torch_device)

    @property
    def sensitivity(self) -> Sensitivity:
        return self.sensitivity_to(max(self.noise_sigma, _LEAST_SIGMA))

    def sensitivity_to(self, sigma: float) -> Sensitivity:
        """Return the same as if noise were of that strength."""
        return Sensitivity(self.model, self.held, sigma, self.noise_kind, self.encoding, self.torch_device)

    def drawn(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first ``count`` pictures of the random order, and their labels."""
        return select_test_pictures(load_dataset(self.data), count, self.key)

    def candidates(self, most: int) -> np.ndarray:
        """Return ``most`` pictures to choose from, as many as there are if fewer, at least ``count``."""
        available = len(load_dataset(self.data).split["test"])
        return self.drawn(max(self.count, min(most, available)))[0]


def random(job: PictureJob) -> np.ndarray:
    """Random pictures made adversarial by FGSM: the paper's rule (RRAMedy)."""
    pictures, labels = job.drawn(job.count)
    return fgsm_examples(job.evaluator, job.held, pictures, labels, job.fgsm_epsilon)


def clean(job: PictureJob) -> np.ndarray:
    """Random pictures as they are."""
    return job.drawn(job.count)[0]


def min_margin(job: PictureJob) -> np.ndarray:
    """Of 512 random pictures as they are, those with the smallest margin between the two largest logits, smallest first.

    Logits, not confidences: those of clear pictures are all 1, and could not be ranked.
    """
    pictures = job.candidates(_MARGIN_CANDIDATES)
    logits = job.evaluator.logits([job.held], pictures)[0]
    return pictures[np.argsort(_margins(logits, logits.argmax(axis=1)), kind="stable")[: job.count]]


def boundary(job: PictureJob) -> np.ndarray:
    """Of 64 random pictures, each moved along its FGSM direction to the decision boundary, those nearest to it, nearest first.

    The direction is away from the class that the network sees. All pixels step by whole grey levels until the class changes; then the last level
    is taken back pixel by pixel, so that of all pictures on the way the one remains that leaves the smallest margin.
    """
    pictures = job.candidates(_BOUNDARY_CANDIDATES)
    on_boundary, margins = to_boundary(job, pictures)
    return on_boundary[np.argsort(np.abs(margins), kind="stable")[: job.count]]


def to_boundary(job: PictureJob, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures moved to the decision boundary and the margins that are left: int64 [m], thousandths of a logit, of the class first seen.

    A picture whose class no step of up to 128 grey levels changes stays that far away.
    """
    evaluator = job.evaluator
    classes = evaluator.logits([job.held], pictures)[0].argmax(axis=1)
    signs = fgsm_signs(evaluator, job.held, pictures, classes)
    flat = signs.reshape(len(pictures), -1)
    pixels = flat.shape[1]
    ranks = np.arange(pixels)

    def stepped(steps: np.ndarray) -> np.ndarray:
        """Pictures after so many steps of single pixels: all pixels' first level, then all pixels' second, ..."""
        levels, rest = np.divmod(steps[:, None], pixels)
        moved = flat * (levels + (ranks < rest))
        return np.clip(pictures + moved.reshape(pictures.shape), 0, 255).astype(np.uint8)

    def margins(steps: np.ndarray) -> np.ndarray:
        return _margins(evaluator.logits([job.held], stepped(steps))[0], classes)

    near, far = np.zeros(len(pictures), np.int64), np.full(len(pictures), _FARTHEST_STEP * pixels)
    crosses = margins(far) < 0
    # The class may change more than once on the way: one of the changes is found.
    while (far - near).max() > 1:
        unit = pixels if (far - near).max() > pixels else 1
        middle = near + (far - near + unit) // (2 * unit) * unit
        inside = margins(middle) >= 0
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    nearer = np.where(np.abs(margins(near)) <= np.abs(margins(far)), near, far)
    best = np.where(crosses, nearer, _FARTHEST_STEP * pixels)
    return stepped(best), margins(best)


def optimised(job: PictureJob) -> np.ndarray:
    """Random pictures changed together so that they reveal the most bits of the weights through weak noise, whatever the job's.

    Ascends the gradient of :meth:`lifesim.network.sensitivity.Sensitivity.revealed`, the norm of the weight gradient in units of noise, in which a
    weight that is seen well already counts little more: pictures share the weights among them. Pixels that are black in all pictures of the
    data set, and units that none of them turns on, are thus tested too.
    """
    return ascend(job, job.drawn(job.count)[0], job.key_for("optimised"))


def ascend(job: PictureJob, pictures: np.ndarray, key: int) -> np.ndarray:
    """Return pictures that reveal more than ``pictures``, which they start from."""
    sensitivity = job.sensitivity_to(_LEAST_SIGMA)
    rng, architecture = generator(key), job.model.architecture
    steps = _ASCENT_MACS / (len(pictures) * architecture.macs)
    steps = int(min(_MOST_ASCENTS, max(_FEWEST_ASCENTS, steps)))
    start, end = _SMOOTHNESS
    with single_threaded():
        black, white = (sensitivity.inputs(np.full_like(pictures[:1], level)) for level in (0, 255))
        levels = torch.tensor(pictures, device=sensitivity.device).permute(0, 2, 3, 1) / 255.0
        # Pixels are a logistic function of what is changed, which keeps them within their range.
        free = torch.logit(levels.clamp(_EDGE, 1 - _EDGE)).contiguous().requires_grad_()
        adam = torch.optim.Adam([free], lr=_ASCENT_RATE)
        for step in range(steps):
            done = step / steps
            adam.param_groups[0]["lr"] = _ASCENT_RATE * min(1.0, 2.0 * (1.0 - done))
            directions = rng.standard_normal((len(pictures), architecture.classes), dtype=np.float32)
            x = black + torch.sigmoid(free) * (white - black)
            read = sensitivity.read(x, start * (end / start) ** done)
            revealed = sensitivity.revealed(read, torch.tensor(directions, device=sensitivity.device))
            (free.grad,) = torch.autograd.grad(-revealed, free)
            adam.step()
        levels = (torch.sigmoid(free.detach()) * 255).round().to(torch.uint8)
        return levels.permute(0, 3, 1, 2).contiguous().cpu().numpy()


def greedy(job: PictureJob) -> np.ndarray:
    """Of candidates by other rules, one after the other the picture with which most simulated faulty copies are seen."""
    candidates = greedy_candidates(job)
    seen_from = 4 * math.sqrt(2 * job.count * job.model.architecture.classes)
    return candidates[cover(simulated_shifts(job, candidates) / seen_from, job.count)]


def greedy_candidates(job: PictureJob) -> np.ndarray:
    """Return what :func:`greedy` chooses from: twice ``count`` optimised pictures, then as many at the boundary and as they are."""
    starts = job.candidates(2 * job.count)
    again = ascend(job, starts[-job.count :], job.key_for("optimised again"))
    return np.concatenate([optimised(job), again, boundary(job), clean(job)])


def simulated_shifts(job: PictureJob, pictures: np.ndarray) -> np.ndarray:
    """Return how far faulty copies move each picture's logits: squared Mahalanobis distances in the read noise, [copies, m].

    Copies have 1, 2, 4 or 8 flipped cells, drawn for this alone: not the faults that any device will have.
    """
    macs = len(pictures) * job.model.architecture.macs
    count = int(min(_MOST_COPIES, max(32, _TRAINING_MACS // macs)))
    maps = [_flipped(job, stream_key(job.key_for("training faults"), i), i) for i in range(count)]
    healthy = job.model.with_codes(job.held)
    walker = walker_of(healthy, job.encoding)
    if walker is None:
        evaluator = job.evaluator
        copies = [apply_map(job.held, m) for m in maps]
        answers, golden = evaluator.logits(copies, pictures), evaluator.logits([job.held], pictures)
    else:
        answers = walker.logits(walker.changes([m.overlay() for m in maps], independent=True), pictures)
        none = FaultMap.empty(len(job.held), job.encoding)
        golden = walker.logits(walker.changes([none.overlay()], independent=True), pictures)
    covariance = job.sensitivity.noise_covariance(pictures)
    trace = np.trace(covariance, axis1=1, axis2=2) / covariance.shape[1]
    covariance += (1e-6 * trace + 1e-30)[:, None, None] * np.eye(covariance.shape[1])
    shifts = np.nan_to_num((answers - golden).astype(np.float64), nan=1e6, posinf=1e6, neginf=-1e6)
    whitened = np.linalg.solve(covariance[None], shifts[..., None])[..., 0]
    return np.einsum("kmc,kmc->km", shifts, whitened)


def cover(shifts: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` pictures (indices) of squared ``shifts`` [copies, m], chosen so that few copies stay unseen.

    A copy that the chosen pictures shift by D^2 in all stays unseen with exp(-D^2). Never worse than the first ``count``.
    """
    factors = np.exp(-shifts)
    unseen, chosen = np.ones(len(shifts)), []
    for _ in range(count):
        then = _thousandths(unseen @ factors)
        then[chosen] = np.iinfo(np.int64).max
        chosen.append(int(then.argmin()))
        unseen = unseen * factors[:, chosen[-1]]
    first = factors[:, :count].prod(axis=1)
    return np.arange(count) if _thousandths(first.sum()) <= _thousandths(unseen.sum()) else np.array(chosen)


def _flipped(job: PictureJob, key: int, number: int) -> FaultMap:
    """Return stuck cells, each at a level that it should not have, anywhere in the network alike."""
    rng, encoding = generator(key), job.encoding
    sizes = np.array([codes.size * encoding.cells_per_weight for codes in job.held])
    drawn = rng.choice(sizes.sum(), _CELLS_PER_COPY[number % len(_CELLS_PER_COPY)], replace=False)
    turns = rng.integers(1, encoding.top_level + 1, len(drawn))
    layers = np.searchsorted(np.cumsum(sizes), drawn, side="right")
    firsts = np.cumsum(sizes) - sizes
    cells, levels = [], []
    for layer, codes in enumerate(job.held):
        here = layers == layer
        cells.append(drawn[here] - firsts[layer])
        held = encoding.levels_of(codes, cells[-1])
        levels.append((held + turns[here]) % (encoding.top_level + 1))
    return FaultMap.of(cells, levels, encoding)


def _margins(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return by how much the logits [m, classes] of ``classes`` [m] lead those of all other classes: thousandths, int64 [m]."""
    rows = np.arange(len(logits))
    others = logits.copy()
    others[rows, classes] = -np.inf
    return _thousandths(logits[rows, classes] - others.max(axis=1))


def _thousandths(numbers: np.ndarray) -> np.ndarray:
    return np.rint(np.asarray(numbers, np.float64) * 1000.0).astype(np.int64)


PICTURE_RULES: Mapping[str, Callable[[PictureJob], np.ndarray]] = {
    rule.__name__: rule for rule in (random, clean, min_margin, boundary, optimised, greedy)
}
"""Each gives ``count`` pictures, uint8 [count, channels, height, width]."""


def select_pictures(rule: str, job: PictureJob) -> np.ndarray:
    """Return the pictures (uint8 [count, channels, height, width]) that a rule of :data:`PICTURE_RULES` makes.

    Same job, same bytes. Raises UserError for an unknown rule, or more pictures than the data set has.
    """
    if rule not in PICTURE_RULES:
        near = did_you_mean(rule, PICTURE_RULES)
        raise UserError(f"no rule {rule!r} for test pictures; there are: {', '.join(PICTURE_RULES)}{near}")
    return PICTURE_RULES[rule](job)
