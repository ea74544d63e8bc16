"""Test sets: the same at both ends, and true to their rates of false alarms on reads that nobody has calibrated on."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from lifesim.crossbar.encoding import Encoding
from lifesim.detection.criteria import Golden
from lifesim.detection.nullreads import Averaging
from lifesim.detection.reading import ReadNoise
from lifesim.detection.sequential import START
from lifesim.detection.testset import Calibration, TestDesign, for_device, make_test_set
from lifesim.network.evaluate import Evaluator, Noise
from lifesim.streams import stream_key

NOISE = ReadNoise(0.003, 0.5)
JUDGE = Calibration("mahalanobis", Averaging(1, 8, 0.5), 0, 0.02)
OF_DEVICE = replace(JUDGE, of_device=True)
DESIGN = TestDesign(6, 0.095, "min_margin", NOISE, JUDGE)
WARMING = 0.01  # share by which conductances are larger, several times what noise of 0.3 % moves


@pytest.fixture(scope="module")
def make(mlp_model):
    """Return a function (design) -> test set of the preset MLP, made once each."""
    return functools.cache(lambda design: make_test_set(mlp_model, mlp_model.codes, "mnist5k", design, "cpu"))


def reads(model, pictures, purpose, devices, visits, of_each=1, gain=0.0, noise=NOISE):
    """Return logits [devices, visits, of_each, m, classes] of a network without faults, on streams of this test's own."""
    evaluator, found = Evaluator.of(model), []
    weights = [
        f.dequantise(c) * np.float32(1 + gain) for f, c in zip(model.formats, model.codes, strict=True)
    ]
    for device in range(devices):
        key = stream_key("test of test sets", purpose, device)
        z = [
            noise.draw(key, at, range(of_each), len(pictures), evaluator.noise_elements)
            for at in range(visits)
        ]
        shown = evaluator.logits(
            [weights] * (visits * of_each), pictures, Noise(noise.sigma, np.concatenate(z))
        )
        found.append(shown.reshape(visits, of_each, *shown.shape[1:]))
    return np.stack(found)


def designs():
    yield TestDesign(6, 0.095, "random", NOISE)
    for name in ("max_dp", "chi_square", "mahalanobis", "mahalanobis_max"):
        yield replace(DESIGN, calibration=replace(JUDGE, statistic=name, rereads=2))
    yield replace(DESIGN, calibration=replace(JUDGE, tests_per_year=12))
    yield replace(DESIGN, calibration=OF_DEVICE, known_baseline=True)
    yield replace(DESIGN, calibration=replace(OF_DEVICE, tests_per_year=12), known_baseline=True)
    yield replace(DESIGN, calibration=replace(JUDGE, tests_per_year=12), noise=ReadNoise(0.0, 0.0))
    yield replace(DESIGN, calibration=replace(JUDGE, gain=0.01))
    yield replace(DESIGN, noise=ReadNoise(0.0, 0.0))
    yield replace(DESIGN, encoding=Encoding(2), noise=ReadNoise(0.001, 0.0, "cell_analog"))


@pytest.mark.parametrize("design", list(designs()))
@pytest.mark.parametrize("with_pictures", [True, False])
def test_a_test_set_is_the_same_at_both_ends(make, mlp_model, design, with_pictures):
    sent = make(design)
    # What the device had before: other scores, and other pictures where new ones are sent.
    before = replace(
        sent,
        pictures=np.zeros_like(sent.pictures) if with_pictures else sent.pictures,
        golden=None,
    )
    data = sent.encode(with_pictures)
    there = type(sent).decode(data, len(sent.pictures) if with_pictures else 0, before)
    assert np.array_equal(there.pictures, sent.pictures) and there.pictures.dtype == np.uint8
    assert there.encode(with_pictures) == data
    assert len(sent.encode()) - len(sent.encode(with_pictures=False)) == sent.pictures.size
    if sent.rule is None:
        assert (
            there.rule is None and isinstance(there.golden, Golden) and there.golden.is_that_of(sent.golden)
        )
        return
    assert np.array_equal(there.golden, sent.golden) and there.golden.dtype == np.float32
    shown = reads(mlp_model, sent.pictures, "both ends", 1, 5)[0, :, 0]
    assert (there.known_rule is None) == (not design.known_baseline)
    for got, was in ((there.rule, sent.rule), (there.known_rule, sent.known_rule)):
        if was is not None:
            limits = [(r.threshold, r.cusum, r.averaging, r.rereads) for r in (got, was)]
            assert limits[0] == limits[1]
            assert np.array_equal(got.score(there.golden, shown), was.score(sent.golden, shown))


def test_fewer_pictures_than_before_may_be_sent(make):
    sent, before = make(replace(DESIGN, pictures=3)), make(DESIGN)
    there = type(sent).decode(sent.encode(), 3, before)
    assert np.array_equal(there.pictures, sent.pictures) and np.array_equal(there.golden, sent.golden)


def test_the_same_design_makes_the_same_bytes(make, mlp_model):
    again = make_test_set(mlp_model, mlp_model.codes, "mnist5k", DESIGN, "cpu")
    assert again.encode() == make(DESIGN).encode()


def test_pictures_may_be_kept_while_all_else_follows_the_codes(make, mlp_model):
    before = make(DESIGN)
    held = tuple(c.copy() for c in mlp_model.codes)
    held[0][400:420] = 0
    after = make_test_set(mlp_model, held, "mnist5k", DESIGN, "cpu", before.pictures)
    assert np.array_equal(after.pictures, before.pictures)
    shown = Evaluator.of(mlp_model).logits([held], before.pictures)[0]
    assert np.array_equal(after.golden, shown) and not np.array_equal(after.golden, before.golden)


@pytest.mark.parametrize("name", ["max_dp", "chi_square", "mahalanobis"])
@pytest.mark.parametrize("averaging", [Averaging(1, 8, 0.5), Averaging(3, 1, 0.5)], ids=str)
def test_false_alarms_are_as_rare_as_stated(make, mlp_model, name, averaging):
    """30 devices of 50 visits each, a baseline read by each; at most the rate, within 4 standard errors of a device's mean.

    A threshold that never alarms would pass that, so it is not far above the statistics either.
    """
    design = replace(DESIGN, calibration=replace(JUDGE, statistic=name, averaging=averaging))
    made = make(design)
    first = reads(mlp_model, made.pictures, "baselines", 30, 1, averaging.baseline_reads)[:, 0]
    later = reads(mlp_model, made.pictures, "visits", 30, 50, averaging.reads).mean(axis=2, dtype=np.float32)
    scores = np.stack(
        [made.rule.score(made.rule.baseline(b), shown) for b, shown in zip(first, later, strict=True)]
    )
    of_devices = (scores > made.rule.threshold).mean(axis=1)
    error = max(of_devices.std() / np.sqrt(30), np.sqrt(0.02 / 1500))
    assert of_devices.mean() < 0.02 + 4 * error
    assert made.rule.threshold < 1.15 * np.quantile(scores, 0.98)


def test_a_years_sum_alarms_for_as_few_devices_as_stated(make, mlp_model):
    """150 devices for a year of 12 tests: binomial, 4 standard errors."""
    made = make(replace(DESIGN, calibration=replace(JUDGE, false_alarm_rate=0.1, tests_per_year=12)))
    first = reads(mlp_model, made.pictures, "baselines", 150, 1, 8)[:, 0]
    later = reads(mlp_model, made.pictures, "a year", 150, 12)[:, :, 0]
    alarmed = [
        made.rule.cusum.first_alarm(START, made.rule.score(made.rule.baseline(b), shown).tolist())[1]
        is not None
        for b, shown in zip(first, later, strict=True)
    ]
    assert np.mean(alarmed) < 0.1 + 4 * np.sqrt(0.1 * 0.9 / 150)


def test_who_knows_of_temperature_is_not_alarmed_by_warmth_but_by_faults(make, mlp_model):
    unaware, aware = make(DESIGN), make(replace(DESIGN, calibration=replace(JUDGE, gain=WARMING)))
    assert np.array_equal(unaware.pictures, aware.pictures)
    pictures = aware.pictures
    baselines = reads(mlp_model, pictures, "baselines", 20, 1, 8)[:, 0]
    warm = reads(mlp_model, pictures, "warm", 20, 20, gain=WARMING)[:, :, 0]
    some = [
        reads(mlp_model, pictures, f"at {g:g}", 20, 8, gain=g * WARMING) for g in (-0.8, -0.4, 0.0, 0.4, 0.8)
    ]
    anywhere = np.concatenate(some, axis=1)[:, :, 0]
    held = tuple(c.copy() for c in mlp_model.codes)
    held[-1][:, 3] //= 2  # half of one class's weights: much like warmth, but of one class
    faulty = reads(mlp_model.with_codes(held), pictures, "faulty", 20, 5)[:, :, 0]

    def alarms(made, shown):
        """Of each device, the share of its reads."""
        shares = [
            made.rule.alarms(made.rule.baseline(b), s).mean() for b, s in zip(baselines, shown, strict=True)
        ]
        return np.array(shares)

    assert alarms(unaware, warm).mean() > 0.5 > 5 * alarms(aware, warm).mean()
    # The rate is that of all temperatures within the range, alike; within 4 standard errors.
    found = alarms(aware, anywhere)
    error = max(found.std() / np.sqrt(len(found)), np.sqrt(0.02 / anywhere[:, :, 0, 0].size))
    assert found.mean() < 0.02 + 4 * error
    assert alarms(unaware, faulty).all() and alarms(aware, faulty).all()


def test_without_noise_any_change_is_an_alarm(make, mlp_model):
    made = make(replace(DESIGN, noise=ReadNoise(0.0, 0.0)))
    assert not made.rule.alarms(made.golden, made.golden)
    held = tuple(c.copy() for c in mlp_model.codes)
    held[-1][:20, 0] ^= 1 << 12  # one bit of weights that the pictures show
    shown = Evaluator.of(mlp_model).logits([held], made.pictures)[0]
    assert made.rule.alarms(made.golden, shown)


def worn(model, seed, cells=4):
    """Codes of the model with high bits of the last layer stuck at 1: some of its weights are much larger, and noisier."""
    rng, held = np.random.default_rng(seed), tuple(c.copy() for c in model.codes)
    last = held[-1].reshape(-1)
    last[rng.choice(last.size, cells, replace=False)] |= 1 << 14
    return held


@pytest.mark.parametrize("name", ["chi_square", "mahalanobis", "mahalanobis_max"])
def test_each_device_has_as_few_false_alarms_as_stated_with_the_limits_of_its_group(make, mlp_model, name):
    """20 devices with stuck cells, which their test sets know: 100 reads each against the known baseline, and against one that is read.

    At most the rate, within 4 standard errors over devices, and not far below. Judged by the noise of the network without them there are many more.
    """
    design = replace(DESIGN, calibration=replace(OF_DEVICE, statistic=name), known_baseline=True)
    group = make(design)
    known, read, unaware = [], [], []
    for device in range(20):
        held = worn(mlp_model, device)
        own = for_device(group, mlp_model, held, design, "cpu")
        assert np.array_equal(own.pictures, group.pictures)
        assert own.rule.threshold == group.rule.threshold > own.known_rule.threshold
        faulty = mlp_model.with_codes(held)
        baseline = own.rule.baseline(reads(faulty, own.pictures, f"baseline {device}", 1, 1, 8)[0, 0])
        shown = reads(faulty, own.pictures, f"worn {device}", 1, 100)[0, :, 0]
        known.append(own.known_rule.alarms(own.golden, shown).mean())
        read.append(own.rule.alarms(baseline, shown).mean())
        unaware.append(group.known_rule.alarms(own.golden, shown).mean())
    for found in (known, read):
        assert np.mean(found) < 0.02 + 4 * max(np.std(found) / np.sqrt(20), np.sqrt(0.02 / 2000))
    assert np.mean(known) > 0.002
    assert np.mean(unaware) > 1.5 * np.mean(known)


def test_a_test_set_for_a_device_is_the_groups_where_nothing_is_stuck(make, mlp_model):
    for design in designs():
        group = make(design)
        same = for_device(group, mlp_model, mlp_model.codes, design, "cpu")
        assert same.encode() == group.encode()


def test_a_redeployments_test_set_has_the_groups_limits(make, mlp_model):
    design = replace(DESIGN, calibration=OF_DEVICE, known_baseline=True)
    group, held = make(design), worn(mlp_model, 3)
    kept = make_test_set(mlp_model, held, "mnist5k", design, "cpu", group.pictures, group)
    assert kept.encode() == for_device(group, mlp_model, held, design, "cpu").encode()
    new = make_test_set(mlp_model, held, "mnist5k", design, "cpu", None, group)
    assert (new.rule.threshold, new.known_rule.threshold) == (
        group.rule.threshold,
        group.known_rule.threshold,
    )
    assert np.array_equal(new.golden, Evaluator.of(mlp_model).logits([held], new.pictures)[0])


def test_the_papers_rule_may_know_its_baseline_too(make, mlp_model):
    design, held = TestDesign(6, 0.095, "random", NOISE, known_baseline=True), worn(mlp_model, 4)
    own = for_device(make(design), mlp_model, held, design, "cpu")
    assert own.golden.is_that_of(Golden.of(Evaluator.of(mlp_model).confidences([held], own.pictures)[0]))
    assert own.rule is None and own.known_rule is None
