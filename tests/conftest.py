"""What several floors' tests share: one trained network, and damage for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import settings

from lifesim.crossbar.faults import FaultMap
from lifesim.network.datasets import Dataset, load_dataset
from lifesim.network.model import Model
from lifesim.streams import generator, stream_key

# The same examples for everybody; `--hypothesis-profile=explore` looks for new ones.
settings.register_profile("explore", settings())
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither trust nor touch the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFESIM_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def mnist5k() -> Dataset:
    return load_dataset("mnist5k")


@pytest.fixture(scope="session")
def mlp_model() -> Model:
    """The preset MLP, trained on mnist5k once per session."""
    from lifesim.network.store import trained_model
    from lifesim.scenario.network import Network

    return trained_model(Network(preset="mlp"))


@pytest.fixture(scope="session")
def random_damage() -> Callable[[Model, float, int], FaultMap]:
    """Return a function (model, share, seed) -> map of that share of cells, stuck at 1 or 0 alike."""

    def damage(model: Model, share: float, seed: int) -> FaultMap:
        rng = generator(stream_key("test damage", seed))
        counts = [round(share * 16 * c.size) for c in model.codes]
        cells = [rng.choice(16 * c.size, n, replace=False) for c, n in zip(model.codes, counts, strict=True)]
        return FaultMap.of(cells, [rng.integers(0, 2, n, dtype=np.uint8) for n in counts])

    return damage
