"""How many faulty devices a test finds, and how many that are well it accuses: the paper's rule and calibrated ones on the same reads.

Devices have stuck cells from fabrication, which their factory test has found, and a stream of noise each. Test sets are those that lifesim gives them
(:mod:`lifesim.detection.testset`): limits calibrated once, on the network as it should be, and for each device the noise that its known codes make. What
comes later are stuck cells, chosen uniformly; one that already shows its level harms nothing, and counts as not found like any other.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from lifesim.crossbar.encoding import SLC
from lifesim.crossbar.overlay import Overlay, Written
from lifesim.detection.nullreads import Averaging, fault_free_tests, upper_limit
from lifesim.detection.pictures import PICTURE_RULES, PictureJob, select_pictures
from lifesim.detection.reading import CalibratedRule, ReadNoise, Readout, TestRule
from lifesim.detection.screening import softmax
from lifesim.detection.sequential import START, Cusum
from lifesim.detection.testset import (
    Calibration,
    TestDesign,
    calibrated_rules,
    for_device,
    make_test_set,
    noise_covariances,
)
from lifesim.network.evaluate import Evaluator, Noise
from lifesim.network.model import Model
from lifesim.network.noisy import noisy_reader_of
from lifesim.network.store import trained_model
from lifesim.network.walk import walker_of
from lifesim.scenario.network import Network
from lifesim.streams import generator, stream_key

Row = dict[str, object]
PICTURES = 16
FABRICATION_RATE = 1e-5  # of cells
TO_LRS = 5 / 6  # of stuck cells: wear fails to the low-resistance state, 5 to 1
BASELINE_READS = 8
BEST = "optimised"
TESTS_A_YEAR = 52  # weekly
WARMING = 30.0 * 1e-4  # 30 K, 1e-3 per kelvin of which a tenth is left after reference tracking
_STATISTICS = ("max_dp", "chi_square", "mahalanobis", "mahalanobis_max")


@dataclass(frozen=True)
class Size:
    """How much is measured. ``reads``: fault-free ones of all ``devices`` together."""

    devices: int
    reads: int
    fault_models: int
    null_reads: int


FULL = Size(devices=100, reads=10_000, fault_models=400, null_reads=1000)
QUICK = Size(devices=50, reads=1000, fault_models=100, null_reads=500)


@dataclass(frozen=True)
class Case:
    """A network, the rate of its faults (of bits), and the share of faulty devices that a test is to find."""

    preset: str
    dataset: str
    rate: float
    bar: float
    fault_models: int = 400

    @property
    def name(self) -> str:
        return f"{self.preset}, {self.rate:g} of bits"


CASES = (
    Case("mlp", "mnist", 5e-5, 0.97, 2000),
    Case("lenet", "mnist", 5e-6, 0.75),
    Case("convnet_quick", "cifar10", 2e-5, 0.9),
)


def rows(quick: bool = False) -> Iterator[Row]:
    """Yield all rows: for each network the bound, single reads, repeated reads, rules for pictures, successive tests, temperature."""
    size, cases = (QUICK, (Case("mlp", "mnist5k", 5e-5, 0.97),)) if quick else (FULL, CASES)
    for case in cases:
        yield from rows_of(case, size if quick else replace(size, fault_models=case.fault_models))


def rows_of(case: Case, size: Size) -> Iterator[Row]:
    """Yield all rows of one network."""

    def bench(pictures: str, noise: ReadNoise) -> Bench:
        return Bench.of(case, size, pictures, noise)

    usual = ReadNoise(0.003, 0.5)
    best = bench(BEST, usual)
    yield from best.harmless_rows()
    yield from single_read_rows(best, usual)
    if case.preset == "mlp":
        yield from repeated_read_rows(best, 0.003, 4, 0.01, case.bar)
        yield from repeated_read_rows(best, 0.003, 8, 0.001, 0.9)
        at_1_percent = bench(BEST, ReadNoise(0.01, 0.5))
        yield from repeated_read_rows(at_1_percent, 0.01, 8, 0.01, 0.9)
        yield from bound_rows(best, ReadNoise(0.003, 0.5), 1)
        yield from bound_rows(at_1_percent, ReadNoise(0.01, 0.5), 8)
        yield from bound_rows(at_1_percent, ReadNoise(0.01, 0.0), 8)
        for pictures in (32, 64, 128):
            spread = Bench.of(case, size, BEST, ReadNoise(0.01, 0.5), pictures)
            yield from spread_rows(spread, ReadNoise(0.01, 0.5), 8 * PICTURES // pictures, 0.9)
    for rule in PICTURE_RULES:
        yield from cost_rows(case, rule, usual)
        if rule != BEST:
            yield from picture_rule_rows(bench(rule, usual), usual)
    for kind in ("cell_analog", "cell_adc"):
        noise = ReadNoise(0.003, 0.5, kind)
        yield from single_read_rows(bench(BEST, noise), noise)
    if case.preset != "convnet_quick":
        yield from temperature_rows(best)
        yield from sequential_rows(best)


class Bench:
    """One network with its test pictures, its devices and its faults."""

    def __init__(self, case: Case, size: Size, model: Model, rule: str, pictures: np.ndarray):
        self.case, self.size, self.model, self.rule, self.pictures = case, size, model, rule, pictures
        self.evaluator = Evaluator.of(model)
        self.nothing: Overlay = [
            (Written(np.empty(0, np.int64), np.empty(0, np.uint8)),) for _ in model.codes
        ]
        self.devices = [self.stuck("fabrication", i, FABRICATION_RATE) for i in range(size.devices)]
        self.faults = [self.stuck("faults", i, case.rate) for i in range(size.fault_models)]

    @classmethod
    def of(cls, case: Case, size: Size, pictures: str, noise: ReadNoise, count: int = PICTURES) -> Bench:
        """``pictures``: the rule by which ``count`` of them are chosen, for this noise where it asks for it."""
        network = Network(preset=case.preset, dataset=case.dataset)
        model = trained_model(network)
        job = PictureJob(
            model, model.codes, network.data, count, network.fgsm_epsilon, noise.sigma, noise.kind
        )
        return cls(case, size, model, pictures, select_pictures(pictures, job))

    def stuck(self, purpose: str, number: int, rate: float, to_lrs: float = TO_LRS) -> Overlay:
        """Return stuck cells: a share ``rate`` of all, chosen uniformly, the levels independent of what the cells should hold."""
        cells = [c.size * SLC.cells_per_weight for c in self.model.codes]
        ends = np.cumsum(cells)
        rng = generator(stream_key("stuck", self.case.name, purpose, number))
        chosen = np.sort(rng.choice(ends[-1], round(rate * ends[-1]), replace=False))
        levels = (rng.random(len(chosen)) < to_lrs).astype(np.uint8)
        cuts = np.searchsorted(chosen, ends)[:-1]
        starts = ends - cells
        parts = zip(np.split(chosen, cuts), np.split(levels, cuts), starts, strict=True)
        return [(Written(c - start, of_each),) for c, of_each, start in parts]

    def device_of(self, fault_model: int) -> int:
        return fault_model % len(self.devices)

    @property
    def name(self) -> str:
        return f"{self.case.name}, {self.rule} pictures"

    @functools.cached_property
    def faulty(self) -> list[Overlay]:
        """The devices with the faults that come later over those of fabrication."""
        return [
            [(*old, *new) for old, new in zip(self.devices[self.device_of(i)], faults, strict=True)]
            for i, faults in enumerate(self.faults)
        ]

    def held(self, state: Overlay) -> tuple[np.ndarray, ...]:
        """Return the codes that a device holds."""
        return tuple(SLC.write_over(c, parts) for c, parts in zip(self.model.codes, state, strict=True))

    @functools.cached_property
    def known(self) -> np.ndarray:
        """What each device should show from the stuck cells that it knows, without noise: logits [devices, m, classes]."""
        return self.ideal(self.devices)

    @functools.lru_cache(maxsize=4)  # noqa: B019 (a bench lives as long as the measurement)
    def covariances(self, noise: ReadNoise) -> list[np.ndarray]:
        """Return the covariances of the logits: of the network as it should be, then of each device, as test sets have them."""
        design = TestDesign(len(self.pictures), 0.0, self.rule, noise)
        states = [self.model.codes, *map(self.held, self.devices)]
        shown = [self.ideal([self.nothing])[0], *self.known]
        return [
            noise_covariances(self.model, held, self.pictures, golden, design, "cpu")
            for held, golden in zip(states, shown, strict=True)
        ]

    def reads(self, states: Sequence[Overlay], noise: ReadNoise, purpose: str) -> np.ndarray:
        """Return independent single reads, one of each state: logits [states, m, classes]."""
        keys = [noise.first_key(stream_key("read", self.case.name, purpose), i) for i in range(len(states))]
        changes = self._walker.changes(states, independent=True)
        reader = noisy_reader_of(self.model, SLC, noise.kind)
        return reader.logits(changes, self.pictures, noise.sigma, keys)

    def ideal(self, states: Sequence[Overlay]) -> np.ndarray:
        """Return noise-free logits [states, m, classes]."""
        return self._walker.logits(self._walker.changes(states, independent=True), self.pictures)

    @property
    def _walker(self):
        return walker_of(self.model, SLC)

    def visits(
        self,
        states: Sequence[Overlay],
        noise: ReadNoise,
        reads: int,
        purpose: str,
        gains: np.ndarray | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield for each state the logits [reads, m, classes] of one visit's correlated reads; all conductances changed by ``gains`` [states]."""
        for i, state in enumerate(states):
            held = self.held(state)
            if gains is not None:
                held = [
                    f.dequantise(c) * np.float32(1.0 + gains[i])
                    for f, c in zip(self.model.formats, held, strict=True)
                ]
            key = stream_key("visit", self.case.name, purpose)
            z = noise.draw(key, i, range(reads), len(self.pictures), self.evaluator.noise_elements)
            yield self.evaluator.logits([held] * reads, self.pictures, Noise(noise.sigma, z, noise.kind))

    def harmless_rows(self) -> list[Row]:
        """The bound on any test: faults that change no weight, and those that change nothing that the pictures show."""
        found = []
        for split, to_lrs in (("5:1", TO_LRS), ("1:1", 0.5)):
            states = [self.stuck("faults", i, self.case.rate, to_lrs) for i in range(self.size.fault_models)]
            bounds = self._walker.changes(states, independent=True).bounds
            found.append(
                self.share(
                    "stuck cells that change no weight, LRS:HRS " + split, bounds[:, 0] == bounds[:, -1]
                )
            )
            moved = np.abs(self.ideal(states) - self.ideal([self.nothing])).max(axis=(1, 2))
            found.append(self.share("... that move no logit by 1e-3 without noise, " + split, moved < 1e-3))
        return found

    def share(self, measure: str, which: np.ndarray, **others: object) -> Row:
        return {
            "case": self.name,
            **share_row(measure, int(np.sum(which)), int(np.size(which))),
            **others,
        }


def share_row(measure: str, count: int, of: int) -> Row:
    """Return a row of a share with its interval (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    interval = stats.binomtest(count, of).proportion_ci(method="wilson")
    return {"measure": measure, "value": count / of, "low": interval.low, "high": interval.high, "n": of}


def accused_of(alarms: np.ndarray) -> Row:
    """Return the columns of false alarms: which of the reads or devices without faults alarmed."""
    row = share_row("", int(np.sum(alarms)), len(alarms))
    names = {"false_alarms": "value", "false_low": "low", "false_high": "high", "false_n": "n"}
    return {name: row[key] for name, key in names.items()}


def answers_of(rule: Readout, logits: np.ndarray) -> np.ndarray:
    return softmax(logits) if rule.softmax else logits


def name_of(rule: Readout) -> str:
    return rule.statistic.name if isinstance(rule, CalibratedRule) else "paper (sdc3, any picture)"


Rules = Sequence[Readout]
"""The rule of each device."""


def alarms(rules: Rules, goldens: Sequence[object], devices: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Return which reads alarm (bool [n]), each by the rule of its device and that one's golden."""
    answers = answers_of(rules[0], logits)
    found = np.empty(len(answers), bool)
    for device in np.unique(devices):
        found[devices == device] = rules[device].alarms(goldens[device], answers[devices == device])
    return found


def judged(
    bench: Bench, of_rules: Sequence[Rules], baselines: Sequence[np.ndarray], free: np.ndarray, faulty: np.ndarray,
    what: str, rate: float, bar: float | None,
) -> list[Row]:  # fmt: skip
    """Return detection and false alarms by each kind of rules. ``baselines``: logits [reads, m, classes] of each device."""
    of_free = np.arange(len(free)) % len(baselines)
    of_faulty = np.arange(len(faulty)) % len(baselines)
    found = []
    for rules in of_rules:
        rule = rules[0]
        goldens = [r.baseline(answers_of(r, b)) for r, b in zip(rules, baselines, strict=True)]
        row = bench.share(f"{what}: {name_of(rule)}", alarms(rules, goldens, of_faulty, faulty))
        row |= accused_of(alarms(rules, goldens, of_free, free))
        row["bar"] = f"false alarms <= {rate:.1%}" + (f", detection >= {bar:g}" if bar else "")
        if isinstance(rule, CalibratedRule):
            row["met"] = bool(row["value"] >= (bar or 0.0) and row["false_alarms"] <= rate)
        found.append(row)
    return found


def paper_rule(bench: Bench) -> Rules:
    return [TestRule("sdc3", len(bench.pictures), 1, 0, BASELINE_READS)] * len(bench.devices)


def calibrated(
    bench: Bench, noise: ReadNoise, averaging: Averaging, rate: float, names: Sequence[str] = _STATISTICS,
    drifts: Sequence[np.ndarray] | None = None,
) -> list[Rules]:  # fmt: skip
    """Return by statistic the rules of all devices, as test sets have them; ``drifts``: of the network as it should be, then of each device."""
    null, found = null_reads(bench, noise), []
    for name in names:
        calibration = Calibration(name, averaging, 0, rate, of_device=True)
        drift, *own_drifts = drifts or [None] * (1 + len(bench.devices))
        covariance, *own = bench.covariances(noise)
        rule, _ = calibrated_rules(
            calibration, False, null, stream_key("calibration", name), drift, covariance
        )
        found.append([rule.of_noise(c, d) for c, d in zip(own, own_drifts, strict=True)])
    return found


def null_reads(bench: Bench, noise: ReadNoise) -> np.ndarray:
    """Return reads of the network as it should be, on which limits are calibrated before any device is made."""
    states = [bench.nothing] * bench.size.null_reads
    return bench.reads(states, noise, f"null {noise.kind} {noise.sigma}")


def of_devices(bench: Bench) -> list[Overlay]:
    """The devices in turn, as many as there are fault-free reads."""
    return [bench.devices[i % len(bench.devices)] for i in range(bench.size.reads)]


def single_read_rows(bench: Bench, noise: ReadNoise) -> list[Row]:
    """One read a test, against a baseline of 8 reads of one visit, correlated or not; and against one that is known."""
    label = label_of(noise)
    usual = noise.kind == "weight"
    # Slow networks are read less often with the other kinds of noise.
    states = of_devices(bench) if usual or bench.case.preset != "convnet_quick" else of_devices(bench)[:2000]
    free = bench.reads(states, noise, f"free {label}")
    faulty = bench.reads(bench.faulty, noise, f"faulty {label}")
    bar = bench.case.bar if usual and bench.rule == BEST else None
    found = []
    for correlation in (0.5, 0.0) if usual else (0.5,):
        own = ReadNoise(noise.sigma, correlation, noise.kind)
        baselines = list(bench.visits(bench.devices, own, BASELINE_READS, f"baseline {label} {correlation}"))
        rules = [paper_rule(bench), *calibrated(bench, own, Averaging(1, BASELINE_READS, correlation), 0.01)]
        found += judged(
            bench, rules, baselines, free, faulty, f"{label}, rho {correlation:g}, 1 read", 0.01, bar
        )
    strict = [(0.001, 0.9 if bench.case.preset == "mlp" and bench.rule == BEST else None)] if usual else []
    for rate, needed in [(0.01, bar), *strict]:
        rules = [paper_rule(bench), *calibrated(bench, noise, Averaging(1, 0), rate)]
        what = f"{label}, 1 read, known baseline" + (", <= 0.1%" if rate < 0.01 else "")
        found += judged(bench, rules, bench.known[:, None], free, faulty, what, rate, needed)
    return found


def label_of(noise: ReadNoise) -> str:
    return f"{noise.kind} {noise.sigma:.1%}"


def picture_rule_rows(bench: Bench, noise: ReadNoise) -> list[Row]:
    """The paper's rule and the Mahalanobis distance on other pictures, fewer fault-free reads of slow networks."""
    label = label_of(noise)
    states = of_devices(bench) if bench.case.preset == "mlp" else of_devices(bench)[:2000]
    free = bench.reads(states, noise, f"free {label}")
    faulty = bench.reads(bench.faulty, noise, f"faulty {label}")
    own = list(bench.visits(bench.devices, noise, BASELINE_READS, f"baseline {label} {noise.correlation}"))
    found = []
    for baselines, reads, what in (
        (own, BASELINE_READS, f"{label}, rho {noise.correlation:g}, 1 read"),
        (bench.known[:, None], 0, f"{label}, 1 read, known baseline"),
    ):
        averaging = Averaging(1, reads, noise.correlation)
        rules = [paper_rule(bench), *calibrated(bench, noise, averaging, 0.01, ("mahalanobis",))]
        found += judged(bench, rules, baselines, free, faulty, what, 0.01, None)
    return found


def cost_rows(case: Case, rule: str, noise: ReadNoise) -> list[Row]:
    """What a test set costs: processor time to make it, bytes to store and to send."""
    network = Network(preset=case.preset, dataset=case.dataset)
    model = trained_model(network)
    judge = Calibration(
        "mahalanobis", Averaging(1, BASELINE_READS, noise.correlation), 0, 0.01, of_device=True
    )
    by_paper = TestDesign(PICTURES, network.fgsm_epsilon, rule, noise)
    found, pictures = [], None
    for design, what in ((by_paper, "paper's rule"), (replace(by_paper, calibration=judge), "mahalanobis")):
        began = time.process_time()
        made = make_test_set(model, model.codes, network.data, design, "cpu", pictures)
        seconds = time.process_time() - began
        what_for = "pictures" if pictures is None else "calibration of mahalanobis, pictures kept"
        pictures = made.pictures
        costs = {
            f"processor seconds to make a test set: {what_for}": seconds,
            f"bytes of a test set, {what}, with its pictures": len(made.encode()),
            f"bytes of a test set, {what}, pictures kept": len(made.encode(with_pictures=False)),
        }
        found += [{"measure": name, "value": float(cost), "n": 1} for name, cost in costs.items()]
    began = time.process_time()
    for_device(made, model, model.codes, design, "cpu")
    seconds = time.process_time() - began
    found.append({"measure": "processor seconds to make it for a device", "value": seconds, "n": 1})
    return [{"case": f"{case.name}, {rule} pictures", **row} for row in found]


def repeated_read_rows(bench: Bench, sigma: float, reads: int, rate: float, bar: float) -> list[Row]:
    """The mean of several reads of a visit."""
    found = []
    for correlation in (0.5, 0.0):
        noise = ReadNoise(sigma, correlation)
        label = f"weight {sigma:.1%}, rho {correlation:g}, {reads} reads"
        means = [
            np.stack([read.mean(axis=0) for read in bench.visits(states, noise, reads, f"{purpose} {label}")])
            for purpose, states in (("free", of_devices(bench)), ("faulty", bench.faulty))
        ]
        for baselines, n, what in (
            (
                list(bench.visits(bench.devices, noise, BASELINE_READS, f"baseline {label}")),
                BASELINE_READS,
                "",
            ),
            (bench.known[:, None], 0, ", known baseline"),
        ):
            rules = [paper_rule(bench), *calibrated(bench, noise, Averaging(reads, n, correlation), rate)]
            found += judged(bench, rules, baselines, *means, label + what, rate, bar)
    return found


def temperature_rows(bench: Bench) -> list[Row]:
    """Reads at temperatures within 30 K of that of programming, unknown to the device: calibrated without and with them."""
    noise, averaging = ReadNoise(0.003, 0.5), Averaging(1, BASELINE_READS, 0.5)
    rng = generator(stream_key("temperature", bench.case.name))

    def drift_of(held: Sequence[np.ndarray]) -> np.ndarray:
        nominal = [f.dequantise(c) for f, c in zip(bench.model.formats, held, strict=True)]
        warm = [w * np.float32(1.0 + WARMING) for w in nominal]
        at_top, before = bench.evaluator.logits([warm, nominal], bench.pictures)
        return (at_top - before).astype(float)

    drifts = [drift_of(bench.model.codes), *(drift_of(bench.held(device)) for device in bench.devices)]
    states = of_devices(bench) if bench.case.preset == "mlp" else of_devices(bench)[:2000]

    def swinging(states: Sequence[Overlay], purpose: str) -> np.ndarray:
        gains = rng.uniform(-WARMING, WARMING, len(states))
        return np.stack([read[0] for read in bench.visits(states, noise, 1, purpose, gains)])

    baselines = list(bench.visits(bench.devices, noise, BASELINE_READS, "baseline temperature"))
    free, faulty = swinging(states, "free temperature"), swinging(bench.faulty, "faulty temperature")
    names = ("max_dp", "mahalanobis")
    unaware = calibrated(bench, noise, averaging, 0.01, names)
    aware = calibrated(bench, noise, averaging, 0.01, names, drifts)
    label = "weight 0.3%, +-30 K, 1 read"
    return [
        *judged(
            bench, [paper_rule(bench), *unaware], baselines, free, faulty, f"{label}, unaware", 0.01, None
        ),
        *judged(bench, aware, baselines, free, faulty, f"{label}, aware", 0.01, None),
    ]


def spread_rows(bench: Bench, noise: ReadNoise, reads: int, bar: float) -> list[Row]:
    """As many reads of single pictures as 8 of 16, of more pictures."""
    means = [
        np.stack([read.mean(axis=0) for read in bench.visits(states, noise, reads, f"{purpose} {reads}")])
        for purpose, states in (("free", of_devices(bench)), ("faulty", bench.faulty))
    ]
    rules = [
        paper_rule(bench),
        *calibrated(bench, noise, Averaging(reads, 0, noise.correlation), 0.01, ("mahalanobis",)),
    ]
    what = f"{label_of(noise)}, rho {noise.correlation:g}, {len(bench.pictures)} pictures, {reads} reads, known baseline"
    return judged(bench, rules, bench.known[:, None], *means, what, 0.01, bar)


def bound_rows(bench: Bench, noise: ReadNoise, reads: int) -> list[Row]:
    """The most that any test of the mean logits can find whose baseline is known, with normal noise.

    Whoever knew beforehand which fault comes would look along its own shift alone, of Mahalanobis length d, and find it with the probability
    Phi(d - z) at a false-alarm rate of 1 - Phi(z) (Neyman and Pearson, 1933). The Mahalanobis distance looks along all directions alike.
    """
    variance = Averaging(reads, 0, noise.correlation).of_test
    squares = []
    for i, shown in enumerate(bench.ideal(bench.faulty)):
        device = bench.device_of(i)
        shift = (shown - bench.known[device]).astype(float)
        whitened = np.linalg.solve(np.linalg.cholesky(bench.covariances(noise)[1 + device]), shift[..., None])
        squares.append(np.square(whitened).sum() / variance)
    squares, dof = np.maximum(squares, 1e-9), bench.known[0].size
    found = []
    for rate in (0.01, 0.001):
        label = f"{label_of(noise)}, rho {noise.correlation:g}, {reads} reads, known baseline, normal noise"
        for name, power in (
            ("mahalanobis", stats.ncx2.sf(stats.chi2.isf(rate, dof), dof, squares)),
            ("bound: the fault known beforehand", stats.norm.sf(stats.norm.isf(rate) - np.sqrt(squares))),
        ):
            half = 1.96 * power.std() / np.sqrt(len(power))
            found.append(
                {
                    "case": bench.name, "measure": f"{label}: {name}", "value": float(power.mean()),
                    "low": float(power.mean() - half), "high": float(power.mean() + half), "n": len(power),
                    "false_alarms": rate,
                }
            )  # fmt: skip
    return found


def sequential_rows(bench: Bench) -> list[Row]:
    """Weekly tests: a year without faults, and until faults are found; each test by itself or added up, at as many false alarms a year."""
    noise, rate, tests = ReadNoise(0.003, 0.5), 0.02, TESTS_A_YEAR // 2
    lives = len(bench.devices) * (4 if bench.case.preset == "mlp" else 2)
    number = np.arange(lives) % len(bench.devices)
    own = [bench.devices[i] for i in number]
    free = bench.reads([device for device in own for _ in range(TESTS_A_YEAR)], noise, "free year")
    faulty = bench.faulty[:400]
    later = bench.reads([device for device in faulty for _ in range(tests)], noise, "faulty year")
    free, later = (
        shown.reshape(n, -1, *shown.shape[1:]) for shown, n in ((free, lives), (later, len(faulty)))
    )
    found = []
    for baselines, reads, what in (
        (list(bench.visits(own, noise, BASELINE_READS, "baseline year")), BASELINE_READS, "rho 0.5"),
        (bench.known[number][:, None], 0, "known baseline"),
    ):
        averaging = Averaging(1, reads, 0.5)
        rules, limits = year_rules(bench, noise, averaging, rate)

        def shown(
            life: int, logits: np.ndarray, rules: Rules = rules, baselines: object = baselines
        ) -> list[int]:
            rule = rules[life % len(bench.devices)]
            return rule.score(rule.baseline(baselines[life]), logits).tolist()

        of_free = [shown(life, logits) for life, logits in enumerate(free)]
        of_later = [shown(life % len(bench.devices), logits) for life, logits in enumerate(later)]
        for name, limit in limits.items():
            label = f"weight 0.3%, {what}, weekly: mahalanobis, {name}"
            false = np.array([limit.first_alarm(START, row)[1] is not None for row in of_free])
            ends = [limit.first_alarm(START, row)[1] for row in of_later]
            firsts = np.array([tests if at is None else at for at in ends])
            for within in (1, 4, tests):
                row = bench.share(f"{label}, found within {within} tests", firsts < within)
                row |= accused_of(false)
                row["bar"] = f"false alarms <= {rate:g} per device-year"
                row["met"] = bool(row["false_alarms"] <= rate)
                found.append(row)
            delays = firsts[firsts < tests] + 1.0
            half = 1.96 * delays.std() / np.sqrt(len(delays))
            found.append(
                {
                    "case": bench.name,
                    "measure": f"{label}, mean tests to detection, of those found within {tests}",
                    "value": float(delays.mean()), "low": float(delays.mean() - half), "high": float(delays.mean() + half),
                    "n": len(delays), **accused_of(false),
                }
            )  # fmt: skip
    return found


def year_rules(
    bench: Bench, noise: ReadNoise, averaging: Averaging, rate: float
) -> tuple[Rules, dict[str, Cusum]]:
    """Return the rules of all devices, and by name the limits that a share ``rate`` of devices without faults exceed in a year.

    A sum with limit 0 is nothing but its last test: it alarms as soon as one exceeds the reference.
    """
    covariance, *own = bench.covariances(noise)
    calibration = Calibration("mahalanobis", averaging, 0, rate, TESTS_A_YEAR, of_device=True)
    null = null_reads(bench, noise)
    rule, _ = calibrated_rules(calibration, False, null, stream_key("year"), None, covariance)
    _, groups = fault_free_tests(
        "mahalanobis", null, averaging, rate, stream_key("year"), None, covariance, TESTS_A_YEAR
    )
    highest = upper_limit([shown.max(axis=1) for shown in groups], rate)
    limits = {"each test alone": Cusum(highest, 0), "cusum": rule.cusum}
    return [rule.of_noise(c) for c in own], limits
