"""What the cloud sends back: a delta on the device's backup, new test pictures, and what they should show.

:func:`prepare` runs wherever the executor puts it and is a pure function of its task; :func:`Redeployment.decode` is the device's side.
The bytes are the real ones: the link's time and counters follow from their number.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.detection.criteria import Golden
from lifesim.detection.examples import fgsm_examples, select_test_pictures
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import Evaluator, correct_in_part
from lifesim.network.model import Model
from lifesim.recovery.coding import MessageError, Reader, seal, unseal
from lifesim.recovery.delta import encode_delta
from lifesim.recovery.retraining import RetrainingSettings, retrain
from lifesim.scenario.network import DataSource
from lifesim.streams import stream_key

_MAGIC = b"LSRD"
_HEAD = struct.Struct("<?16sHI")  # in spec, digest of the map, number of pictures, bytes of the delta


@dataclass(frozen=True, slots=True)
class TestSet:
    """Test pictures (uint8 [m, channels, height, width]) and what they show on a device that is as it should be."""

    __test__ = False

    pictures: np.ndarray
    golden: Golden


@dataclass(frozen=True, slots=True)
class Retraining:
    """One job of the cloud: retrain ``model`` around ``fault_map`` and make new test pictures.

    ``required_correct``: how many validation pictures the result must get right to be in spec.
    """

    model: Model
    fault_map: FaultMap
    data: DataSource
    settings: RetrainingSettings
    test_pictures: int
    fgsm_epsilon: float
    required_correct: int
    torch_device: str


@dataclass(frozen=True, slots=True)
class Redeployment:
    """The decoded message. ``in_spec`` is the cloud's validation of the model under the map that it knew (``map_digest``)."""

    in_spec: bool
    map_digest: bytes
    delta: bytes
    test_set: TestSet

    def encode(self) -> bytes:
        """Return the bytes that travel."""
        golden, pictures = self.test_set.golden, self.test_set.pictures
        head = _HEAD.pack(self.in_spec, self.map_digest, len(pictures), len(self.delta))
        scores = golden.classes.astype("<u2").tobytes() + golden.thousandths.astype("<u2").tobytes()
        return seal(_MAGIC, head, self.delta + scores + pictures.tobytes())

    @classmethod
    def decode(cls, data: bytes, picture_shape: tuple[int, ...]) -> Redeployment:
        """Read a message. Raises MessageError if it is not whole and undamaged."""
        try:
            head, body = unseal(_MAGIC, _HEAD.size, data)
            in_spec, map_digest, count, delta_size = _HEAD.unpack(head)
            reader = Reader(body)
            delta = reader.take(delta_size).tobytes()
            classes, thousandths = reader.take(4 * count).view("<u2").reshape(2, count)
            pictures = reader.take(count * math.prod(picture_shape)).reshape(count, *picture_shape)
            reader.end()
        except MessageError as error:
            raise MessageError(f"redeployment message cannot be read: {error}") from error
        golden = Golden(classes.astype(np.int16), thousandths.astype(np.int32))
        return cls(in_spec, map_digest, delta, TestSet(pictures, golden))


def prepare(task: Retraining) -> bytes:
    """Retrain, validate under the map, make the test set for the result, and encode it all."""
    dataset = load_dataset(task.data)
    model = retrain(task.model, task.fault_map, dataset, task.settings, device=task.torch_device)
    held = apply_map(model.codes, task.fault_map)
    (correct,) = correct_in_part(model, [held], task.data, "validation", task.torch_device)
    message = Redeployment(
        in_spec=bool(correct >= task.required_correct),
        map_digest=task.fault_map.digest(),
        delta=encode_delta(task.model, model),
        test_set=make_test_set(
            model, held, task.data, task.test_pictures, task.fgsm_epsilon, task.torch_device
        ),
    )
    return message.encode()


def make_test_set(
    model: Model,
    held: tuple[np.ndarray, ...],
    data: DataSource,
    count: int,
    fgsm_epsilon: float,
    torch_device: str,
) -> TestSet:
    """Return ``count`` adversarial examples against the codes that the device holds, with their noise-free golden scores."""
    originals, labels = select_test_pictures(
        load_dataset(data), count, stream_key("test pictures", model.digest.hex())
    )
    evaluator = Evaluator.of(model, torch_device)
    pictures = fgsm_examples(evaluator, held, originals, labels, fgsm_epsilon)
    return TestSet(pictures, Golden.of(evaluator.confidences([held], pictures, None)[0]))
