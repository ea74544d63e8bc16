"""What a device is tested with: pictures, what they show on a device that is as it should be, and from when on that is an alarm.

The cloud makes a test set for a model under the stuck cells that it knows; it travels with the model. Devices that leave the factory have the pictures
and the limits of their group, made for the network as it should be, and each what those pictures show with the stuck cells of its own factory test.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lifesim.crossbar.encoding import BIAS, SLC, Encoding
from lifesim.detection.criteria import Golden
from lifesim.detection.nullreads import Averaging, with_floor
from lifesim.detection.pictures import PictureJob, select_pictures
from lifesim.detection.reading import CalibratedRule, ReadNoise
from lifesim.detection.statistics import StatisticName
from lifesim.network.evaluate import Evaluator, Noise
from lifesim.network.model import Model
from lifesim.network.sensitivity import Sensitivity
from lifesim.scenario.network import DataSource
from lifesim.streams import stream_key

_FAULT_FREE_READS = 600
_REACH = 2.0  # standard deviations of noise that may turn a unit on
_SIZE = struct.Struct("<I")  # of a calibrated rule, in bytes
_LIMITS = 12  # bytes


@dataclass(frozen=True, slots=True)
class Calibration:
    """A statistic whose threshold comes from fault-free reads.

    ``false_alarm_rate``: of tests without faults, at most. ``tests_per_year``: a cumulative sum over the tests decides instead of each alone, and the
    rate is that of devices without faults within a year; None: each alone. ``gain``: by what share conductances change between the coldest
    and the hottest moment. ``of_device``: the noise is worked out for the codes that a device is known to hold; else it is that of reads of the network for
    which the test set is made.
    """

    statistic: StatisticName
    averaging: Averaging
    rereads: int
    false_alarm_rate: float
    tests_per_year: int | None = None
    gain: float = 0.0
    of_device: bool = False


@dataclass(frozen=True, slots=True)
class TestDesign:
    """How test sets are made: how many pictures by which rule, with which noise they are read, and what is calibrated on it (None: the paper's rule).

    ``known_baseline``: devices compare with what the pictures should show, as long as that was worked out for all stuck cells that they know of.
    """

    __test__ = False

    pictures: int
    fgsm_epsilon: float
    selection: str = "random"
    noise: ReadNoise = ReadNoise(0.0, 0.0)
    calibration: Calibration | None = None
    encoding: Encoding = SLC
    known_baseline: bool = False

    @property
    def of_device(self) -> bool:
        """Whether a device's own stuck cells make its test set another."""
        return self.known_baseline or (self.calibration is not None and self.calibration.of_device)


@dataclass(frozen=True, slots=True)
class TestSet:
    """Test pictures (uint8 [m, channels, height, width]) and what they show on a device that is as it should be.

    ``rule``: a calibrated one that belongs to these pictures; None where devices judge by the same rule for life. ``known_rule``: the one for tests that
    are compared with ``golden`` itself, which is free of noise; None where that is the same.
    """

    __test__ = False

    pictures: np.ndarray
    golden: Any
    rule: CalibratedRule | None = None
    known_rule: CalibratedRule | None = None

    def encode(self, with_pictures: bool = True) -> bytes:
        """Return the bytes that travel. How many pictures are among them, and whether the rule is, is said elsewhere."""
        if self.rule is None:
            golden = self.golden
            told = golden.classes.astype("<u2").tobytes() + golden.thousandths.astype("<u2").tobytes()
        else:
            rule = self.rule.encode()
            known = self.known_rule.limits if self.known_rule else b""
            told = _SIZE.pack(len(rule)) + rule + known + self.golden.astype("<f4").tobytes()
        return told + self.pictures.tobytes() if with_pictures else told

    @classmethod
    def decode(cls, data: bytes, count: int, before: TestSet) -> TestSet:
        """Read what :meth:`encode` has written with ``count`` pictures, 0 if without. ``before``: what the device has been tested with so far."""
        pictures = before.pictures
        told = data
        if count:
            shape = pictures.shape[1:]
            cut = len(data) - count * math.prod(shape)
            told, pictures = data[:cut], np.frombuffer(data[cut:], np.uint8).reshape(count, *shape)
        if before.rule is None:
            classes, thousandths = np.frombuffer(told, "<u2").reshape(2, len(pictures))
            return cls(pictures, Golden(classes.astype(np.int16), thousandths.astype(np.int32)))
        (size,) = _SIZE.unpack_from(told)
        told = told[_SIZE.size :]
        rule = CalibratedRule.decode(told[:size], before.rule.averaging, before.rule.rereads)
        told, known = told[size:], None
        if before.known_rule is not None:
            known = replace(rule, averaging=before.known_rule.averaging).with_limits(told[:_LIMITS])
            told = told[_LIMITS:]
        golden = np.frombuffer(told, "<f4").reshape(len(pictures), -1).astype(np.float32)
        return cls(pictures, golden, rule, known)


def make_test_set(
    model: Model,
    held: tuple[np.ndarray, ...],
    data: DataSource,
    design: TestDesign,
    torch_device: str,
    pictures: np.ndarray | None = None,
    group: TestSet | None = None,
) -> TestSet:
    """Return a test set for a device that is meant to hold ``model`` and whose cells hold the codes ``held``, with what it shows without noise.

    ``pictures``: those that it has; by default, new ones are made. ``group``: the test set of its group, whose limits hold for it where the noise is that
    of the device; without, they are calibrated.
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
    if group is not None and calibration.of_device:
        return for_device(replace(group, pictures=pictures), model, held, design, torch_device)
    golden, drift = _shown(evaluator, model, held, pictures, calibration.gain)
    key = stream_key("fault-free reads", model.digest.hex())
    reads = _fault_free_reads(evaluator, held, pictures, noise, key)
    theory = None
    if calibration.of_device and noise.sigma:
        theory = noise_covariances(model, held, pictures, golden, design, torch_device)
    rule, known = calibrated_rules(
        calibration, design.known_baseline, reads, stream_key(key, "threshold"), drift, theory
    )
    return TestSet(pictures, golden, rule, known)


def calibrated_rules(
    calibration: Calibration,
    known_baseline: bool,
    reads: np.ndarray,
    key: int,
    drift: np.ndarray | None = None,
    covariances: np.ndarray | None = None,
) -> tuple[CalibratedRule, CalibratedRule | None]:
    """Return the rule for baselines that are read, and the one for ``known_baseline``; parameters as of :meth:`CalibratedRule.calibrate`."""

    def calibrate(averaging: Averaging) -> CalibratedRule:
        rule = CalibratedRule.calibrate(
            calibration.statistic, reads, averaging, calibration.false_alarm_rate, key, drift, covariances,
            calibration.tests_per_year,
        )  # fmt: skip
        return replace(rule, rereads=calibration.rereads)

    read = calibration.averaging
    return calibrate(read), calibrate(replace(read, baseline_reads=0)) if known_baseline else None


def for_device(
    group: TestSet, model: Model, held: tuple[np.ndarray, ...], design: TestDesign, torch_device: str
) -> TestSet:
    """Return what the test set of a group becomes for a device that is meant to hold ``model`` and whose cells hold the codes ``held``.

    Its pictures and limits stay. What the pictures show, and the noise in units of which that is measured, are the device's own.
    """
    evaluator, calibration = Evaluator.of(model, torch_device, design.encoding), design.calibration
    if calibration is None:
        return replace(group, golden=Golden.of(evaluator.confidences([held], group.pictures, None)[0]))
    golden, drift = _shown(evaluator, model, held, group.pictures, calibration.gain)
    if not calibration.of_device:
        return replace(group, golden=golden)
    covariances = noise_covariances(model, held, group.pictures, golden, design, torch_device)
    rule = group.rule.of_noise(covariances, drift)
    known = group.known_rule and replace(group.known_rule, statistic=rule.statistic)
    return replace(group, golden=golden, rule=rule, known_rule=known)


def noise_covariances(
    model: Model,
    held: tuple[np.ndarray, ...],
    pictures: np.ndarray,
    golden: np.ndarray,
    design: TestDesign,
    torch_device: str,
) -> np.ndarray:
    """Return the covariances of the logits, without noise ``golden``, under the read noise: float64 [m, classes, classes]."""
    noise = design.noise
    sensitivity = Sensitivity(model, held, noise.sigma, noise.kind, design.encoding, torch_device)
    return with_floor(sensitivity.noise_covariance(pictures, _REACH), golden)


def _shown(
    evaluator: Evaluator, model: Model, held: tuple[np.ndarray, ...], pictures: np.ndarray, gain: float
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the logits [m, classes] without noise, and how far they move where all conductances are larger by a share ``gain``, None for none."""
    golden = evaluator.logits([held], pictures)[0]
    return golden, _moved(evaluator, model, held, pictures, gain) - golden if gain else None


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
