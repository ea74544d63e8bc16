"""An executor that keeps a journal: what has been worked out before, in this process or in one that was killed, is looked up.

Three kinds of work take nearly all of a run's time: retraining, looking into windows of tests, and judging states on the spec set; and of a run of many regions a
region is a piece of work. All are pure functions of what they are given, so a result is found by a hash of that. How each is written down stands here.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lifesim.detection.criteria import Golden
from lifesim.detection.screening import Doubt, Seen, look_into
from lifesim.experiment.content import content_key
from lifesim.experiment.journal import Journal
from lifesim.experiment.judging import Judgement, judge_states
from lifesim.experiment.paired import Tally
from lifesim.experiment.regions import RegionResult, simulate_region
from lifesim.experiment.totals import FleetTotals
from lifesim.fleet.redeployment import prepare


class Codec(NamedTuple):
    """How a kind of result is written down, and read again: the same, bit for bit."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


class RememberingExecutor(Executor):
    """Passes work on to ``executor``, unless its result is in ``journal``; results are added to it. Work of other kinds is passed on alone.

    ``found``: how much was looked up.
    """

    def __init__(self, executor: Executor, journal: Journal):
        self._executor = executor
        self._journal = journal
        self.found = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        if fn not in CODECS:
            return self._executor.submit(fn, *args, **kwargs)
        key, codec, future = content_key(fn.__name__, args, kwargs), CODECS[fn], Future()
        kept = self._journal.get(key)
        if kept is not None:
            self.found += 1
            future.set_result(codec.decode(kept))
            return future

        def keep(inner: Future) -> None:
            try:
                result = inner.result()
                self._journal.add(key, codec.encode(result))
            except CancelledError:
                future.cancel()
            except Exception as error:  # of the work, or of the disk
                future.set_exception(error)
            else:
                future.set_result(result)

        self._executor.submit(fn, *args, **kwargs).add_done_callback(keep)
        return future


def _judgements(judged: Sequence[Judgement]) -> bytes:
    rows = [
        [j.pieces, list(map(int, j.seen)), j.planned, j.net, j.net_squares, bool(j.in_spec)] for j in judged
    ]
    return json.dumps(rows, separators=(",", ":")).encode()


def _judgements_of(data: bytes) -> list[Judgement]:
    return [Judgement(pieces, Tally(*seen), *rest) for pieces, seen, *rest in json.loads(data)]


def _array(array: np.ndarray) -> list[Any]:
    return [array.dtype.str, list(array.shape), base64.b64encode(np.ascontiguousarray(array)).decode()]


def _array_of(written: Sequence[Any]) -> np.ndarray:
    kind, shape, data = written
    return np.frombuffer(base64.b64decode(data), kind).reshape(shape).copy()


def _sights(seen: Sequence[Seen]) -> bytes:
    rows = []
    for each in seen:
        match each.golden:
            case None:
                golden: list[Any] = []
            case Golden(classes=classes, thousandths=thousandths):
                golden = [_array(classes), _array(thousandths)]
            case logits:
                golden = [_array(logits)]
        doubts = [[int(d.position), bool(d.alarms), int(d.score)] for d in each.doubts]
        rows.append([_array(each.passes), golden, doubts])
    return json.dumps(rows, separators=(",", ":")).encode()


def _sights_of(data: bytes) -> list[Seen]:
    seen = []
    for passes, golden, doubts in json.loads(data):
        arrays = list(map(_array_of, golden))
        shown = None if not arrays else arrays[0] if len(arrays) == 1 else Golden(*arrays)
        seen.append(Seen(_array_of(passes), shown, [Doubt(*doubt) for doubt in doubts]))
    return seen


_LENGTHS = struct.Struct("<qdQQ")


def _region(result: RegionResult) -> bytes:
    totals, devices = result.totals.encode().encode(), json.dumps(result.devices, default=_plain).encode()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, result.events.schema) as stream:
        stream.write_table(result.events)
    front = _LENGTHS.pack(result.number, result.cpu_s, len(totals), len(devices))
    return front + totals + devices + sink.getvalue().to_pybytes()


def _region_of(data: bytes) -> RegionResult:
    number, cpu_s, totals, devices = _LENGTHS.unpack_from(data)
    begin = _LENGTHS.size
    middle, end = begin + totals, begin + totals + devices
    with pa.ipc.open_stream(data[end:]) as stream:
        events = stream.read_all()
    return RegionResult(
        number,
        FleetTotals.decode(data[begin:middle].decode()),
        json.loads(data[middle:end]),
        events,
        cpu_s,
    )


def _plain(value: Any) -> Any:
    return value.item()


CODECS: dict[Callable[..., Any], Codec] = {
    prepare: Codec(bytes, bytes),
    judge_states: Codec(_judgements, _judgements_of),
    look_into: Codec(_sights, _sights_of),
    simulate_region: Codec(_region, _region_of),
}
"""Kind of work -> how its results are written down."""
