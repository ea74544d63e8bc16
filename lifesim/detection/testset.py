"""What a device is tested with: pictures, what they show on a device that is as it should be, and from when on that is an alarm.

The cloud makes a test set for a model under the stuck cells that it knows; it travels with the model.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lifesim.crossbar.encoding import BIAS, SLC, Encoding
from lifesim.detection.criteria import Golden
from lifesim.detection.nullreads import Averaging, NullReads
from lifesim.detection.pictures import PictureJob, select_pictures
from lifesim.detection.reading import CalibratedRule, ReadNoise
from lifesim.detection.sequential import Cusum, calibrate_cusum
from lifesim.detection.statistics import StatisticName
from lifesim.network.evaluate import Evaluator, Noise
from lifesim.network.model import Model
from lifesim.scenario.network import DataSource
from lifesim.streams import stream_key

_FAULT_FREE_READS = 600
_TOLD = struct.Struct("<Iii")  # of a calibrated rule: its bytes, reference and limit of the sum (0: none)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A statistic whose threshold comes from fault-free reads.

    ``false_alarm_rate``: of tests without faults, at most. ``tests_per_year``: a cumulative sum over the tests decides instead of each alone, and the
    rate is that of devices without faults within a year; None: each alone. ``gain``: by what share conductances change between the coldest
    and the hottest moment.
    """

    statistic: StatisticName
    averaging: Averaging
    rereads: int
    false_alarm_rate: float
    tests_per_year: int | None = None
    gain: float = 0.0


@dataclass(frozen=True, slots=True)
class TestDesign:
    """How test sets are made: how many pictures by which rule, with which noise they are read, and what is calibrated on it (None: the paper's rule)."""

    __test__ = False

    pictures: int
    fgsm_epsilon: float
    selection: str = "random"
    noise: ReadNoise = ReadNoise(0.0, 0.0)
    calibration: Calibration | None = None
    encoding: Encoding = SLC


@dataclass(frozen=True, slots=True)
class TestSet:
    """Test pictures (uint8 [m, channels, height, width]) and what they show on a device that is as it should be.

    ``rule``: a calibrated one that belongs to these pictures; None where devices judge by the same rule for life. ``cusum``: adds up the statistics of
    successive tests.
    """

    __test__ = False

    pictures: np.ndarray
    golden: Any
    rule: CalibratedRule | None = None
    cusum: Cusum | None = None

    def encode(self, with_pictures: bool = True) -> bytes:
        """Return the bytes that travel. How many pictures are among them, and whether the rule is, is said elsewhere."""
        if self.rule is None:
            golden = self.golden
            told = golden.classes.astype("<u2").tobytes() + golden.thousandths.astype("<u2").tobytes()
        else:
            rule, limits = (
                self.rule.encode(),
                (self.cusum.reference, self.cusum.limit) if self.cusum else (0, 0),
            )
            told = _TOLD.pack(len(rule), *limits) + rule + self.golden.astype("<f4").tobytes()
        return told + self.pictures.tobytes() if with_pictures else told

    @classmethod
    def decode(cls, data: bytes, count: int, before: TestSet) -> TestSet:
        """Read what :meth:`encode` has written with ``count`` pictures, 0 if without. ``before``: what the device has been tested with so far."""
        pictures, known = before.pictures, before.rule
        told = data
        if count:
            shape = pictures.shape[1:]
            cut = len(data) - count * math.prod(shape)
            told, pictures = data[:cut], np.frombuffer(data[cut:], np.uint8).reshape(count, *shape)
        if known is None:
            classes, thousandths = np.frombuffer(told, "<u2").reshape(2, len(pictures))
            return cls(pictures, Golden(classes.astype(np.int16), thousandths.astype(np.int32)))
        size, reference, limit = _TOLD.unpack_from(told)
        rule, golden = told[_TOLD.size : _TOLD.size + size], told[_TOLD.size + size :]
        return cls(
            pictures,
            np.frombuffer(golden, "<f4").reshape(len(pictures), -1).astype(np.float32),
            CalibratedRule.decode(rule, known.averaging, known.rereads),
            Cusum(reference, limit) if limit else None,
        )


def make_test_set(
    model: Model,
    held: tuple[np.ndarray, ...],
    data: DataSource,
    design: TestDesign,
    torch_device: str,
    pictures: np.ndarray | None = None,
) -> TestSet:
    """Return a test set for a device that is meant to hold ``model`` and whose cells hold the codes ``held``, with what it shows without noise.

    ``pictures``: those that it has; by default, new ones are made.
    """
    noise, calibration = design.noise, design.calibration
    if pictures is None:
        job = PictureJob(
            model, held, data, design.pictures, design.fgsm_epsilon, noise.sigma, noise.kind, design.encoding, torch_device
        )  # fmt: skip
        pictures = select_pictures(design.selection, job)
    evaluator = Evaluator.of(model, torch_device, design.encoding)
    if calibration is None:
        return TestSet(pictures, Golden.of(evaluator.confidences([held], pictures, None)[0]))
    golden = evaluator.logits([held], pictures)[0]
    key = stream_key("fault-free reads", model.digest.hex())
    reads = _fault_free_reads(evaluator, held, pictures, noise, key)
    drift = _moved(evaluator, model, held, pictures, calibration.gain) - golden if calibration.gain else None
    averaging, rate = calibration.averaging, calibration.false_alarm_rate
    rule = CalibratedRule.calibrate(
        calibration.statistic, reads, averaging, rate, stream_key(key, "threshold"), drift
    )
    cusum = None
    if calibration.tests_per_year:
        _, to_judge = NullReads.halves(reads, averaging, drift)
        tests, sum_key = calibration.tests_per_year, stream_key(key, "sum")
        cusum = calibrate_cusum(rule.statistic, to_judge, rate, tests, sum_key)
    return TestSet(pictures, golden, replace(rule, rereads=calibration.rereads), cusum)


def _fault_free_reads(
    evaluator: Evaluator, held: tuple[np.ndarray, ...], pictures: np.ndarray, noise: ReadNoise, key: int
) -> np.ndarray:
    """Return logits [n, m, classes] of reads that have nothing in common but the device."""
    if not noise.sigma:
        return np.repeat(evaluator.logits([held], pictures), _FAULT_FREE_READS, axis=0)
    at_once, elements = evaluator.copies_per_chunk, evaluator.noise_elements
    found = []
    for first in range(0, _FAULT_FREE_READS, at_once):
        reads = range(first, min(first + at_once, _FAULT_FREE_READS))
        z = np.concatenate([noise.draw(key, read, [0], len(pictures), elements) for read in reads])
        found.append(evaluator.logits([held] * len(reads), pictures, Noise(noise.sigma, z, noise.kind)))
    return np.concatenate(found)


def _moved(
    evaluator: Evaluator, model: Model, held: tuple[np.ndarray, ...], pictures: np.ndarray, gain: float
) -> np.ndarray:
    """Return the logits [m, classes] where all conductances are larger by a share ``gain``."""
    bias = BIAS if evaluator.encoding.offset else 0
    weights = []
    for codes, fixed_point in zip(held, model.formats, strict=True):
        analog = fixed_point.dequantise(codes)
        weights.append(analog + np.float32(gain) * (analog + np.float32(bias * fixed_point.scale)))
    return evaluator.logits([weights], pictures)[0]
