"""What is run, and how large: the paper's networks on full data sets, or a small version of everything."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lifesim.errors import UserError
from lifesim.network.datasets import Dataset, load_dataset
from lifesim.network.model import Model
from lifesim.network.store import trained_model
from lifesim.network.walk import Walker, walker_of
from lifesim.paper.readings import Cells, Condition, Reading, reading_named
from lifesim.paper.verdicts import paper
from lifesim.scenario.network import PICTURE_SHAPES, Network

COUNTS = (1, 2, 4, 16)
"""Test pictures: one, as the paper has it, and more."""
THETAS = (0.01, 0.03, 0.05)
CELLS: tuple[Cells, ...] = ("SLC", "MLC")
_OFFICIAL_TEST_PICTURES = 10_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much is run.

    networks
        Of the paper's.
    models
        Faulty networks of a cell of Figs. 5 and 7 to 10, and fault-free devices of the false alarms.
    screening
        Faulty networks by which test pictures are chosen, of all conditions alike; none of them is among those tested.
    candidates
        Pictures to choose from.
    random_sets, random_models
        Random pictures are judged in this many sets of the largest number of pictures, on so many of the faulty networks.
    devices
        Devices of a cell of Fig. 11.
    steps, through_steps
        Of a retraining; of one with a straight-through gradient.
    pictures
        By which accuracies are judged, at most.
    other_models
        Faulty networks of a cell in the comparison of readings.
    """

    networks: tuple[str, ...]
    models: int
    screening: int = 120
    candidates: int = 1000
    random_sets: int = 4
    random_models: int = 100
    devices: int = 10
    steps: int = 150
    through_steps: int = 900
    pictures: int = 10_000
    other_models: int = 200


FULL = Size(("mlp", "lenet", "convnet_quick"), models=1000)
QUICK = Size(
    ("mlp", "lenet"), models=100, screening=28, candidates=100, random_sets=2, random_models=50, devices=2, steps=20, through_steps=40, pictures=500,
    other_models=25,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is asked for. ``data``: the directory of the data sets, None: where lifesim finds them; ``quick``: on mnist5k instead."""

    size: Size
    reading: str = "bits"
    data: str | None = None
    quick: bool = False
    seed: int = 0

    @classmethod
    def of(
        cls, reading: str, data: str | None, quick: bool, seed: int = 0, models: int | None = None
    ) -> Settings:
        """Return the settings of a command line. Raises UserError for an unknown reading, or a directory that is not there."""
        reading_named(reading)
        if data is not None and not Path(data).expanduser().is_dir():
            raise UserError(f"--data {data}: no such directory")
        size = QUICK if quick else FULL
        if models is not None:
            size = dataclasses.replace(size, models=models)
        return cls(size, reading, data and str(Path(data).expanduser()), quick, seed)

    def reading_of(self) -> Reading:
        """Return the reading of the fault model."""
        return reading_named(self.reading)

    def network(self, name: str, format: str | None = None) -> Network:
        """Return one of the paper's networks, in the reading's format or another."""
        dataset = paper()["networks"][name]["dataset"]
        if self.quick and dataset == "mnist":
            dataset = "mnist5k"
        return Network(
            preset=name,
            dataset=dataset,
            data_dir=None if dataset == "mnist5k" else self._directory(dataset),
            seed=self.seed,
            format=format or self.reading_of().format,
        )

    def _directory(self, dataset: str) -> str | None:
        """Return the folder of a data set in the directory that was given, or that directory."""
        if self.data is None:
            return None
        of_its_own = Path(self.data) / dataset
        return str(of_its_own if of_its_own.is_dir() else self.data)

    def conditions(self, name: str, cells: Cells) -> list[Condition]:
        """Return what is tested on a network in one-bit cells (Fig. 7) or two-bit cells (Figs. 8, 9 and 10, in this order)."""
        numbers = paper()["networks"][name]
        permanent, soft = numbers["permanent"], numbers["soft"]
        if cells == "SLC":
            return [
                Condition("SLC", permanent=permanent),
                Condition("SLC", soft=soft),
                Condition("SLC", permanent=permanent, soft=soft),
            ]
        return [
            Condition("MLC", permanent=permanent),
            *(Condition("MLC", theta=theta) for theta in THETAS),
            *(Condition("MLC", permanent=permanent, theta=theta) for theta in THETAS),
        ]


@functools.lru_cache(maxsize=8)
def _model(network: str) -> Model:
    return trained_model(Network.model_validate_json(network))


def model_of(network: Network) -> Model:
    """Return a trained network, looked up once."""
    # Networks are told apart by their keys; a cached one costs reading a file.
    return _model(network.model_dump_json())


def judging_pictures(network: Network, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures by which accuracy is judged and their labels: of mnist and cifar10 all official test pictures, else the part ``spec``; of these the first ``most``."""
    dataset = load_dataset(network.data)
    if dataset.name in PICTURE_SHAPES and dataset.name != "mnist5k":
        first = max(0, len(dataset.images) - _OFFICIAL_TEST_PICTURES)
        pictures, labels = dataset.images[first:], dataset.labels[first:]
        trained = np.concatenate([dataset.split["train"], dataset.split["validation"]])
        if trained.max() >= first:  # fewer pictures than were published
            pictures, labels = dataset.part("spec")
    else:
        pictures, labels = dataset.part("spec")
    return pictures[:most], labels[:most]


def logits_of(model: Model, copies: list, pictures: np.ndarray) -> np.ndarray:
    """Return logits [copies, m, classes] (float32) of copies of a model, without noise."""
    return _walker(model).logits_of_copies(copies, pictures)


def _walker(model: Model) -> Walker:
    from lifesim.crossbar.encoding import SLC

    walker = walker_of(model, SLC)  # the encoding does not matter to copies
    assert walker is not None, "the presets can be walked"
    return walker


def accuracies(model: Model, copies: list, network: Network, most: int) -> np.ndarray:
    """Return the share of correct answers of each copy [copies]."""
    pictures, labels = judging_pictures(network, most)
    return np.concatenate(
        [(logits_of(model, [copy], pictures).argmax(axis=2) == labels).mean(axis=1) for copy in copies]
    )


def dataset_of(network: Network) -> Dataset:
    """Return a network's data set."""
    return load_dataset(network.data)
