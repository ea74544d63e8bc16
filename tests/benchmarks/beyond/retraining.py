"""Retraining for devices that write nearest codes: accuracy, time, and what travels, at the stuck-cell rates of RRAMedy's Fig. 11."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.faults import FaultMap, random_map
from lifesim.network.datasets import load_dataset
from lifesim.network.model import Model
from lifesim.network.store import trained_model
from lifesim.network.walk import walker_of
from lifesim.recovery.agreed import agree
from lifesim.recovery.correlations import correlations_of
from lifesim.recovery.delta import encode_delta
from lifesim.recovery.fitting import Fitting
from lifesim.recovery.projection import retrain_projected
from lifesim.recovery.retraining import RetrainingSettings, retrain
from lifesim.recovery.steps import encode_update
from lifesim.scenario.cloud import Retraining
from lifesim.scenario.network import DataSource, Network
from lifesim.streams import stream_key
from tests.benchmarks.beyond.detection import TO_LRS

Row = dict[str, object]
PARTS = ("test", "spec")  # 2,000 pictures that neither training nor retraining has seen
MLC = Encoding(bits_per_cell=2)  # two's complement on two-bit cells, as RRAMedy describes it
MOST_MEAN, MOST_WORST = 0.01, 0.02  # of accuracy lost
_DENSE_RATES, _CONV_RATES = (0.005, 0.01, 0.015), (0.001, 0.002, 0.003)


@dataclasses.dataclass(frozen=True)
class Case:
    """A network, its rates of stuck cells, seconds that a retraining may take, and how many times less than the model may travel."""

    preset: str
    dataset: str
    rates: tuple[float, ...]
    most_s: float
    least_ratio: float


CASES = (
    Case("mlp", "mnist", _DENSE_RATES, 0.5, 340),
    Case("lenet", "mnist", _DENSE_RATES, 5.0, 450),
    Case("convnet_quick", "cifar10", _CONV_RATES, 5.0, 500),
)


def rows(quick: bool = False) -> Iterator[Row]:
    """Return the rows of all networks, formats, cells and rates; seconds are processor time of one thread."""
    if quick:
        case = Case("mlp", "mnist5k", (0.015,), 0.5, 340)
        yield from cell_rows(case, "Q3.12", "SLC", SLC, 3)
        yield from together_rows(case)
        return
    for case in CASES:
        for fmt in ("global", "Q3.12"):
            for name, encoding in (("SLC", SLC), ("MLC", MLC)):
                yield from cell_rows(case, fmt, name, encoding, 10)
    yield from together_rows(CASES[0])


def network_of(case: Case, fmt: str) -> Network:
    return Network(preset=case.preset, dataset=case.dataset, format=fmt)


def settings_of(kind: str) -> RetrainingSettings:
    """The defaults of a scenario."""
    usual = Retraining()
    return RetrainingSettings(usual.steps, usual.batch_size, *usual.rate_and_fraction(kind))


def maps_of(case: Case, model: Model, encoding: Encoding, rate: float, count: int) -> list[FaultMap]:
    cells = [codes.size * encoding.cells_per_weight for codes in model.codes]
    keys = [stream_key("retrained", case.preset, encoding.bits_per_cell, str(rate), i) for i in range(count)]
    return [random_map(key, cells, rate, TO_LRS, encoding) for key in keys]


def cell_rows(case: Case, fmt: str, cells: str, encoding: Encoding, devices: int) -> Iterator[Row]:
    """One network in one format on one kind of cell, at all rates."""
    network, settings = network_of(case, fmt), settings_of("nearest_code")
    model, data = trained_model(network), network.data
    agreed = agree(model, data, settings.trainable_fraction, encoding)
    fittings = {
        "retrained": Fitting(),
        "compensated and retrained": Fitting(correlations_of(model, data), agreed.first),
    }
    size = sum(array.nbytes for array in (*model.codes, *model.biases))
    retrain_projected(  # compiles, and looks at the clean network
        [(model, maps_of(case, model, encoding, 0.001, 1)[0])], model, data, dataclasses.replace(settings, steps=1), agreed,
    )  # fmt: skip
    for rate in case.rates:
        maps = maps_of(case, model, encoding, rate, devices)
        seconds, deltas, held = [], [], {}
        for what, fitting in fittings.items():
            held[what] = []
            for fault_map in maps:
                began = time.process_time()
                (update,) = retrain_projected(
                    [(model, fault_map)], model, data, settings, agreed, fitting=fitting
                )
                seconds.append(time.process_time() - began)
                new = update.applied(model, agreed)
                deltas.append(len(encode_update(model, new, update)))
                held[what].append(fitting.retrained(new.codes, fault_map))
        clean, *found = accuracies(model, data, *held.values())
        name = f"{case.preset}, {cells}, {model.formats_text()}, {rate:.1%} of cells"
        time_row = mean_row("retraining, s a device", np.array(seconds))
        ratio = mean_row("model / delta, bytes", size / np.array(deltas))
        for what, accuracy in zip(held, found, strict=True):
            mean = mean_row(f"accuracy lost, {what}, mean", clean - accuracy)
            worst = float(np.max(clean - accuracy))
            yield {"case": name, **mean, **at_most(mean["value"], MOST_MEAN)}
            yield {
                "case": name, "measure": f"accuracy lost, {what}, worst device", "value": worst, "n": devices,
                **at_most(worst, MOST_WORST),
            }  # fmt: skip
        yield {"case": name, **time_row, **at_most(time_row["value"], case.most_s)}
        met = bool(ratio["value"] >= case.least_ratio)
        yield {"case": name, **ratio, "bar": f">= {case.least_ratio:g}", "met": met}
        if rate == case.rates[-1] and encoding == SLC:
            yield {"case": name, **masked_delta_row(network, model, maps[0], size)}


def at_most(value: float, bar: float) -> Row:
    return {"bar": f"<= {bar:g}", "met": bool(value <= bar)}


def masked_delta_row(network: Network, model: Model, fault_map: FaultMap, size: int) -> Row:
    """What RRAMedy's masking retraining sends for a device."""
    new = retrain(model, fault_map, load_dataset(network.data), settings_of("mask"))
    return {"measure": "model / delta, bytes, paper (mask, all changed codes)", "value": size / len(encode_delta(model, new)), "n": 1}  # fmt: skip


def accuracies(
    model: Model, data: DataSource, *groups: Sequence[Sequence[np.ndarray]]
) -> tuple[float | np.ndarray, ...]:
    """Return the accuracy of ``model`` and of each group of copies. On the fast path: a picture may count otherwise only where two classes are equal."""
    copies = [model.codes, *(copy for group in groups for copy in group)]
    right, pictures = np.zeros(len(copies)), 0
    for part in PARTS:
        shown, labels = load_dataset(data).part(part)
        answers = walker_of(model, SLC).logits_of_copies(copies, shown).argmax(axis=2)
        right += (answers == labels).sum(axis=1)
        pictures += len(labels)
    correct = right / pictures
    return (correct[0], *np.split(correct[1:], np.cumsum([len(group) for group in groups])[:-1]))


def mean_row(measure: str, values: np.ndarray) -> Row:
    mean = float(values.mean())
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) if len(values) > 1 else 0.0
    return {"measure": measure, "value": mean, "low": mean - half, "high": mean + half, "n": len(values)}


def together_rows(case: Case, rounds: int = 5, copies: int = 32) -> list[Row]:
    """How many times less a device takes when several are retrained together: medians of rounds in turn."""
    network, settings = network_of(case, "Q3.12"), settings_of("nearest_code")
    model, data = trained_model(network), network.data
    agreed = agree(model, data, settings.trainable_fraction, SLC)
    jobs = [(model, m) for m in maps_of(case, model, SLC, case.rates[-1], copies)]
    ratios = []
    for _ in range(rounds):
        began = time.process_time()
        for job in jobs[:4]:
            retrain_projected([job], model, data, settings, agreed)
        alone = (time.process_time() - began) / 4
        began = time.process_time()
        retrain_projected(jobs, model, data, settings, agreed)
        ratios.append(alone / ((time.process_time() - began) / copies))
    ratio = float(np.median(ratios))
    return [
        {
            "case": f"{case.preset}, SLC, Q3.12", "measure": f"one by one / {copies} together, s a device", "value": ratio,
            "low": min(ratios), "high": max(ratios), "n": rounds, "bar": ">= 3", "met": ratio >= 3,
            "note": "range of the rounds",
        }
    ]  # fmt: skip
