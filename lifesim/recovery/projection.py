"""Retraining for devices that write nearest codes: what they will make of a stuck weight is part of every step.

Beyond RRAMedy's Eq. 6, which lets stuck bits take their stuck value. Only the weights agreed on at deployment move; what enters their first layer is
worked out once. Biases, which are digital and unharmed, stay: moving them as well gains nothing (docs/beyond.md). The aim is not the labels but what
the clean network answers, of which a few thousand pictures say more (Hinton, Vinyals & Dean 2015), and which no device can overfit.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.faults import FaultMap
from lifesim.crossbar.fixedpoint import quantise
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import Evaluator
from lifesim.network.forward import single_threaded
from lifesim.network.model import Model
from lifesim.network.tail import Tail
from lifesim.recovery.agreed import Agreed
from lifesim.recovery.fitting import Fitting
from lifesim.recovery.nearest import nearest, stuck_bits
from lifesim.recovery.retraining import RetrainingSettings
from lifesim.recovery.steps import Steps, Update
from lifesim.scenario.network import DataSource
from lifesim.streams import generator, stream_key

_PICTURES = 2048
_DECAYS, _EPSILON = (0.9, 0.999), 1e-8
_TOGETHER = 8
_MOST_SHARED_MACS = 1 << 13
"""Below so many MACs a picture, a step's time is that of torch's calls, and copies are trained eight together, filled up if they are fewer: the
same bytes for each, whatever comes with it."""


def retrain_projected(
    jobs: Sequence[tuple[Model, FaultMap]],
    clean: Model,
    data: DataSource,
    settings: RetrainingSettings,
    agreed: Agreed,
    torch_device: str = "cpu",
    fitting: Fitting | None = None,
) -> list[Update]:
    """Return for each model and map the update after which a device that writes nearest codes answers most like ``clean``, of which all models are
    versions. ``fitting``: how they write them (default: nearest codes alone).

    Adam (Kingma & Ba 2015) on up to 2,048 training pictures, with the nearest codes of weights that it keeps unrounded (a straight-through gradient:
    Bengio et al. 2013). ``settings.learning_rate`` is in units of the root mean square of a layer's weights, and decays to 0 along half a cosine. One
    thread, seeded by model and map: same arguments, versions and CPU type, same bytes, whatever other jobs there are.
    """
    tail = Tail.of(clean.architecture, agreed.first)
    together = _TOGETHER if sum(c.size for c in clean.codes[tail.first :]) <= _MOST_SHARED_MACS else 1
    updates: list[Update] = []
    with single_threaded():
        pictures, wanted = _lessons(clean, data, torch_device)
        for first in range(0, len(jobs), together):
            pupils = [
                _Pupil.of(*job, fitting or Fitting(), tail, pictures, agreed, settings, torch_device)
                for job in jobs[first : first + together]
            ]
            filled = pupils + pupils[:1] * (together - len(pupils))
            copies = _Copies(filled, clean, tail, wanted, agreed, jobs[0][1].encoding, torch_device)
            copies.train(settings)
            updates += [copies.update(copy) for copy in range(len(pupils))]
    return updates


@functools.lru_cache(maxsize=4)
def _lessons(clean: Model, data: DataSource, torch_device: str) -> tuple[np.ndarray, torch.Tensor]:
    """Return pictures and what the clean network answers, probabilities [m, classes]."""
    pictures, _ = load_dataset(data).part("train")
    order = generator(stream_key("lessons", clean.digest.hex())).permutation(len(pictures))
    chosen = pictures[np.sort(order[:_PICTURES])]
    logits = Evaluator.of(clean, torch_device).logits([clean.codes], chosen)[0]
    return chosen, torch.softmax(torch.from_numpy(logits).to(torch_device), dim=1)


@dataclass(frozen=True, eq=False, slots=True)
class _Pupil:
    """One copy before training.

    ``entering``: what enters the tail [m, features]. ``weights``: the tail's, as held. ``targets``: the codes that the agreed weights are
    to have, laid end to end. ``places``, ``stuck``, ``shown``: which of them have stuck cells, and as of :func:`lifesim.recovery.nearest.nearest`.
    """

    entering: torch.Tensor
    weights: tuple[np.ndarray, ...]
    targets: np.ndarray
    places: np.ndarray
    stuck: np.ndarray
    shown: np.ndarray
    batches: np.ndarray

    @classmethod
    def of(
        cls,
        model: Model,
        fault_map: FaultMap,
        fitting: Fitting,
        tail: Tail,
        pictures: np.ndarray,
        agreed: Agreed,
        settings: RetrainingSettings,
        torch_device: str,
    ) -> _Pupil:
        key = stream_key("projected retraining", model.digest.hex(), fault_map.digest().hex())
        held = model.with_codes(fitting.retrained(model.codes, fault_map)).weights()
        first = tail.first
        chosen = agreed.weights[first:]
        return cls(
            tail.enters(model.architecture, held, model.biases, pictures, torch_device),
            held[first:],
            np.concatenate([c.reshape(-1)[own] for c, own in zip(model.codes[first:], chosen, strict=True)]),
            *_stuck_among(fault_map, first, chosen),
            generator(key).integers(0, len(pictures), (settings.steps, settings.batch_size)),
        )


class _Copies:
    """Copies of a network's tail in training."""

    def __init__(
        self,
        pupils: Sequence[_Pupil],
        clean: Model,
        tail: Tail,
        wanted: torch.Tensor,
        agreed: Agreed,
        encoding: Encoding,
        torch_device: str,
    ) -> None:
        def placed(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array).to(torch_device)

        chosen, formats = agreed.weights[tail.first :], clean.formats[tail.first :]
        self._pupils, self._tail, self._wanted, self._device = pupils, tail, wanted, torch_device
        self._encoding = encoding
        self._entering = torch.stack([pupil.entering for pupil in pupils])
        self._chosen = [placed(own) for own in chosen]
        self._weights = [placed(np.stack(held)) for held in zip(*(p.weights for p in pupils), strict=True)]
        self._biases = [placed(np.repeat(b[None], len(pupils), axis=0)) for b in clean.biases[tail.first :]]
        self._sizes = list(map(len, chosen))
        self._scales = np.repeat([fmt.scale for fmt in formats], [len(own) for own in chosen])
        # The agreed weights of all layers, unrounded, in one vector a copy.
        self._start = placed((np.stack([p.targets for p in pupils]) * self._scales).astype(np.float32))
        self._moving = self._start.clone()
        rms = [np.sqrt(np.mean(np.square(w, dtype=np.float64))) for w in clean.weights()[tail.first :]]
        self._units = placed(np.repeat(rms, self._sizes).astype(np.float32))
        self._lowest, self._highest = (
            placed((np.repeat(ends, self._sizes) * self._scales).astype(np.float32))
            for ends in ([f.lowest for f in formats], [f.highest for f in formats])
        )
        stuck = (
            np.repeat(np.arange(len(pupils)), [len(p.places) for p in pupils]),
            np.concatenate([p.places for p in pupils]),
        )
        self._stuck_at = tuple(map(placed, stuck))
        self._stuck_scales = self._scales[stuck[1]]
        self._stuck, self._shown = (
            np.concatenate([getattr(p, of) for p in pupils]) for of in ("stuck", "shown")
        )
        self._write()

    def train(self, settings: RetrainingSettings) -> None:
        mean, square = torch.zeros_like(self._moving), torch.zeros_like(self._moving)
        copies = torch.arange(len(self._pupils), device=self._device)[:, None]
        for step in range(1, settings.steps + 1):
            batch = torch.from_numpy(np.stack([p.batches[step - 1] for p in self._pupils])).to(self._device)
            gradients = self._tail.gradients(
                self._entering[copies, batch], self._weights, self._biases, self._wanted[batch]
            )
            picked = [g.flatten(1)[:, own] for g, own in zip(gradients, self._chosen, strict=True)]
            gradient = torch.cat(picked, dim=1)
            mean.lerp_(gradient, 1 - _DECAYS[0])
            square.lerp_(gradient * gradient, 1 - _DECAYS[1])
            unbiased_mean, unbiased_square = (1 - decay**step for decay in _DECAYS)
            rate = settings.learning_rate * (1 + math.cos(math.pi * (step - 1) / settings.steps)) / 2
            towards = mean / (square / unbiased_square).sqrt_().add_(_EPSILON)
            self._moving.addcmul_(towards, self._units, value=-rate / unbiased_mean)
            torch.clamp(self._moving, self._lowest, self._highest, out=self._moving)
            self._write()

    def update(self, copy: int) -> Update:
        """Return how far a copy has moved, in steps of four bits."""
        moved = (self._moving[copy] - self._start[copy]).cpu().numpy().astype(np.float64) / self._scales
        return Update(tuple(map(Steps.nearest, np.split(moved, np.cumsum(self._sizes)[:-1]))))

    def _write(self) -> None:
        """Put what moves where the network has it; of weights with stuck cells, the nearest codes."""
        parts = self._moving.clone()
        if len(self._stuck):
            wanted = quantise(parts[self._stuck_at].cpu().numpy(), self._stuck_scales)
            held = nearest(wanted, self._stuck, self._shown, self._encoding) * self._stuck_scales
            parts[self._stuck_at] = torch.from_numpy(held.astype(np.float32)).to(self._device)
        split = torch.split(parts, self._sizes, dim=1)
        for weight, own, part in zip(self._weights, self._chosen, split, strict=True):
            weight.flatten(1)[:, own] = part


def _stuck_among(
    fault_map: FaultMap, first: int, chosen: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which of the chosen weights of the layers from ``first`` on have stuck cells, their stuck bits and what these show."""
    places, bits, levels = [np.empty(0, np.int64)], [np.empty(0, np.uint16)], [np.empty(0, np.uint16)]
    start = 0
    for layer, own in enumerate(chosen, first):
        cells = fault_map.cells[layer]
        if len(cells) and len(own):
            weights, stuck, shown = stuck_bits(cells, fault_map.values[layer], fault_map.encoding)
            _, at, among = np.intersect1d(own, weights, assume_unique=True, return_indices=True)
            places.append(at + start)
            bits.append(stuck[among])
            levels.append(shown[among])
        start += len(own)
    return np.concatenate(places), np.concatenate(bits), np.concatenate(levels)
