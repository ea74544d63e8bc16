"""What the cloud sends back: a delta on the device's backup, new test pictures if the old do not stay, and what they should show.

:func:`prepare` runs wherever the executor puts it and is a pure function of its task; :func:`Redeployment.decode` is the device's side.
The bytes are the real ones: the link's time and counters follow from their number.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.detection.testset import TestDesign, TestSet, make_test_set
from lifesim.network.answers import right_sooner
from lifesim.network.datasets import load_dataset
from lifesim.network.model import Model
from lifesim.recovery.agreed import Agreed
from lifesim.recovery.coding import MessageError, Reader, seal, unseal
from lifesim.recovery.delta import apply_delta, encode_delta, shared
from lifesim.recovery.fitting import Fitting
from lifesim.recovery.importance import Importance
from lifesim.recovery.placement import best_placement
from lifesim.recovery.projection import retrain_projected
from lifesim.recovery.retraining import RetrainingSettings, retrain
from lifesim.recovery.steps import apply_update, encode_update
from lifesim.scenario.network import DataSource

_MAGIC = b"LSRD"
_HEAD = struct.Struct("<?16sHI")  # in spec, digest of the map, number of pictures, bytes of the delta


@dataclass(frozen=True, eq=False, slots=True)
class Agreement:
    """What cloud and devices settled at deployment: which weights of the ``clean`` network may move."""

    clean: Model
    weights: Agreed


@dataclass(frozen=True, slots=True)
class Retraining:
    """One job of the cloud: retrain ``model`` around ``fault_map`` and make a test set, with new pictures or those that the device ``keeps``.

    ``required_correct``: how many validation pictures the result must get right to be in spec. ``fitting``: how the device writes what
    its cells can hold; None: it writes the backup. ``importance``: and places its hidden units where ``model``, of weights of this importance, is harmed least, which both ends
    work out; None: it does not. ``agreement``: retraining reckons with nearest codes, and moves what was agreed on; None: it masks. ``group``: the test
    set of the device's group, whose limits may hold for it.
    """

    model: Model
    fault_map: FaultMap
    data: DataSource
    settings: RetrainingSettings
    design: TestDesign
    required_correct: int
    torch_device: str
    fitting: Fitting | None = None
    importance: Importance | None = None
    agreement: Agreement | None = None
    keeps: np.ndarray | None = None
    group: TestSet | None = None

    @property
    def seen_map(self) -> FaultMap:
        """The stuck cells as the network meets them: in its own order."""
        if self.importance is None:
            return self.fault_map
        layer_cells = [codes.size * self.fault_map.encoding.cells_per_weight for codes in self.model.codes]
        placement = best_placement(self.model, self.fault_map, self.importance)
        return placement.logical_map(self.fault_map, layer_cells)


@dataclass(frozen=True, slots=True)
class Redeployment:
    """The decoded message. ``in_spec`` is the cloud's validation of the model under the map that it knew (``map_digest``).

    ``delta`` and ``test_set`` are as they travel; the latter has so many ``pictures`` (0: the old ones stay).
    """

    in_spec: bool
    map_digest: bytes
    delta: bytes
    pictures: int
    test_set: bytes

    def encode(self) -> bytes:
        """Return the bytes that travel."""
        head = _HEAD.pack(self.in_spec, self.map_digest, self.pictures, len(self.delta))
        return seal(_MAGIC, head, self.delta + self.test_set)

    def applied(self, base: Model, agreement: Agreement | None) -> Model:
        """Return the new model. Raises DeltaError if the delta does not belong to ``base``."""
        if agreement is None:
            return apply_delta(base, self.delta)
        return shared(apply_update(base, self.delta, agreement.weights))

    @classmethod
    def decode(cls, data: bytes) -> Redeployment:
        """Read a message. Raises MessageError if it is not whole and undamaged."""
        try:
            head, body = unseal(_MAGIC, _HEAD.size, data)
            in_spec, map_digest, count, delta_size = _HEAD.unpack(head)
            reader = Reader(body)
            delta = reader.take(delta_size).tobytes()
        except MessageError as error:
            raise MessageError(f"redeployment message cannot be read: {error}") from error
        return cls(in_spec, map_digest, delta, count, body[delta_size:])


def prepare(task: Retraining) -> bytes:
    """Retrain, validate under the map, make the test set for the result, and encode it all."""
    seen_map = task.seen_map
    model, delta = _retrained(task, seen_map)
    written = task.fitting.retrained(model.codes, seen_map) if task.fitting else model.codes
    held = apply_map(written, seen_map)
    validation = load_dataset(task.data).part("validation")
    correct = right_sooner(model, [held], *validation, task.torch_device).sum()
    test_set = make_test_set(model, held, task.data, task.design, task.torch_device, task.keeps, task.group)
    message = Redeployment(
        in_spec=bool(correct >= task.required_correct),
        map_digest=task.fault_map.digest(),
        delta=delta,
        pictures=len(test_set.pictures) if task.keeps is None else 0,
        test_set=test_set.encode(with_pictures=task.keeps is None),
    )
    return message.encode()


def _retrained(task: Retraining, fault_map: FaultMap) -> tuple[Model, bytes]:
    """Return the retrained model and what turns the old one into it."""
    if task.agreement is None:
        dataset = load_dataset(task.data)
        model = retrain(task.model, fault_map, dataset, task.settings, device=task.torch_device)
        return model, encode_delta(task.model, model)
    job, agreed = (task.model, fault_map), task.agreement.weights
    (update,) = retrain_projected(
        [job], task.agreement.clean, task.data, task.settings, agreed, task.torch_device, task.fitting
    )
    model = update.applied(task.model, agreed)
    return model, encode_update(task.model, model, update)
