"""From a device's fault map to its redeployment: uplink, queue, retraining, downlink. The conversation of both sides.

The cloud knows what it was sent and nothing else: the newest map received, and the version of the model that it last sent back. Whoever
receives a message checks that it is whole before anything is done with it, and asks for it again if it is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any, Literal

import simpy

from lifesim.crossbar.faults import FaultMap
from lifesim.fleet.clock import Process
from lifesim.fleet.cloud import Cloud, Job
from lifesim.fleet.device import Device
from lifesim.fleet.link import Direction, Link
from lifesim.fleet.outages import Outages
from lifesim.fleet.redeployment import Agreement, Redeployment, prepare
from lifesim.fleet.service import ServiceTime
from lifesim.network.model import Model
from lifesim.recovery.coding import MessageError
from lifesim.recovery.mapcodec import decode_map, encode_map

DIRECTIONS = {
    "map": Direction.UP,
    "redeployment": Direction.DOWN,
    "request": Direction.UP,
    "notice": Direction.DOWN,
}
"""Kind of message -> its way: maps and redeployments, and the few bytes with which the device or the cloud says something about them."""

_ASK_AGAIN = {"map": "notice", "redeployment": "request"}
_SHORT = bytes(12)  # what a request or notice takes: kind, number and checksum; any part of it says enough


@dataclass(slots=True)
class Desk:
    """What the cloud keeps of one device: its link, the model that it runs, the newest map received, the job in progress.

    ``task`` makes a job from the model and the map, ``prepare`` does it. ``predicted``: no model is kept, as none is made.
    """

    device: Device
    link: Link
    model: Model
    layer_cells: tuple[int, ...]
    task: Callable[[Model, FaultMap], Any]
    service_key: int  # of the stream of its jobs' service times
    agreement: Agreement | None = None
    prepare: Callable[[Any], bytes] | None = None  # None: the retraining itself
    predicted: bool = False
    incremental: bool = False  # maps travel as what is new since ``acknowledged``
    acknowledged: FaultMap | None = (
        None  # the newest that the device knows to have arrived: a redeployment answered it
    )
    newest_map: FaultMap | None = None
    newest_number: int = 0  # of that map among those sent
    solved_map: FaultMap | None = None  # for which the model was made
    sent_map: FaultMap | None = None  # the last that the device has put on the link
    maps_sent: int = 0
    map_here: simpy.Event | None = None  # happens when that one has arrived
    pending: bool = False
    job: Job | None = None
    result: Future[bytes] | None = None
    under_way: Counter[str] = field(default_factory=Counter)  # bytes by kind of message
    closed: bool = False  # the device has been replaced: nobody waits for what still comes

    @property
    def score(self) -> int:
        """How bad the device is, by the newest map: stuck cells that its model was not made for, per 10**9 cells."""
        found = self.newest_map
        new = found.new_since(self.solved_map) if self.solved_map else found.count
        return new * 10**9 // sum(self.layer_cells)


class RetrainingService:
    """One desk a device, one queue for all. A retraining runs as a future on ``executor`` from the moment at which a worker is free.

    ``order``, ``expires_after_ns``, ``outages``: as of :class:`lifesim.fleet.cloud.Cloud`.
    """

    def __init__(
        self,
        env: simpy.Environment,
        workers: int,
        service_ns: ServiceTime,
        executor: Executor,
        *,
        order: Literal["fifo", "worst_first"] = "fifo",
        expires_after_ns: int | None = None,
        outages: Outages | None = None,
    ):
        self.cloud = Cloud(
            env, workers, service_ns, self._start, order, expires_after_ns, outages or Outages()
        )
        self._env = env
        self._executor = executor
        self._desks: dict[int, Desk] = {}
        self._all_desks: list[Desk] = []

    def open_desk(self, desk: Desk) -> None:
        """Serve one more device."""
        self._desks[desk.device.number] = desk
        self._all_desks.append(desk)

    def renew_desk(self, number: int, model: Model) -> None:
        """A new device that runs ``model`` has taken the place of ``number``; its link is the same.

        What is still under way for the old one, or in the queue, is carried and counted, and then for nobody.
        """
        old = self._desks[number]
        old.closed = True
        fresh = Desk(
            old.device,
            old.link,
            model,
            old.layer_cells,
            old.task,
            old.service_key,
            old.agreement,
            old.prepare,
            old.predicted,
            old.incremental,
        )
        self.open_desk(fresh)

    def request(self, device: Device, fault_map: FaultMap) -> None:
        """Send the map, unless it was the last that was sent; queue a retraining, unless one is pending.

        A pending one uses the newest map received when it starts.
        """
        desk = self._desks[device.number]
        if desk.sent_map != fault_map:
            desk.sent_map = fault_map
            desk.maps_sent += 1
            desk.map_here = self._env.process(self._send_map(desk, fault_map, desk.maps_sent))
        if not desk.pending:
            desk.pending = True
            self._env.process(self._retrain(desk))

    def close(self) -> None:
        """At the horizon: what is still on a link is lost."""
        for desk in self._all_desks:
            desk.link.close()
            for what, lost in desk.under_way.items():
                if lost:
                    desk.device.log(f"{what}_lost", lost)

    def _deliver(
        self, desk: Desk, what: str, message: bytes, read: Callable[[bytes], Any], detail: str = ""
    ) -> Process:
        """Send a message until it can be read, and return it read. ``read`` raises MessageError for one that is not whole."""
        while True:
            desk.device.log(f"{what}_sent", len(message), detail)
            desk.under_way[what] += len(message)
            delivery = yield desk.link.send(len(message), DIRECTIONS[what])
            desk.under_way[what] -= len(message)
            try:
                contents = read(message[: delivery.n_bytes])
            except MessageError:
                desk.device.log(f"{what}_damaged", len(message), str(delivery.on_air))
                yield from self._deliver(desk, _ASK_AGAIN[what], _SHORT, bytes, f"send the {what} again")
            else:
                desk.device.log(f"{what}_received", len(message), str(delivery.on_air))
                return contents

    def _send_map(self, desk: Desk, fault_map: FaultMap, number: int) -> Process:
        since = desk.acknowledged if desk.incremental else None

        def read(data: bytes) -> FaultMap:
            return decode_map(data, desk.layer_cells, fault_map.encoding, since)

        message = encode_map(fault_map, desk.layer_cells, since)
        received = yield from self._deliver(desk, "map", message, read)
        if number > desk.newest_number:  # one that was damaged may come after a newer one
            desk.newest_map, desk.newest_number = received, number
            if desk.job:
                self.cloud.rescore(desk.job, desk.score)

    def _retrain(self, desk: Desk) -> Process:
        yield desk.map_here
        desk.device.log("job")
        desk.job = self.cloud.submit(desk.device.number, desk, desk.score)
        job = yield desk.job.done
        desk.job = None
        if job.expired:
            desk.device.log("job_expired", self._env.now - job.submitted_ns)
            yield from self._deliver(desk, "notice", _SHORT, bytes, "the job has expired")
            desk.pending = False
            if not desk.closed:
                desk.device.job_expired()
            return
        message = desk.result.result()
        desk.device.log("retraining_end", job.service_ns)

        redeployment = Redeployment.decode(message)
        if not desk.predicted:
            desk.model = redeployment.applied(desk.model, desk.agreement)
        size = str(len(redeployment.delta))
        yield from self._deliver(desk, "redeployment", message, Redeployment.decode, size)
        desk.pending, desk.result, desk.acknowledged = False, None, desk.solved_map
        if not desk.closed:
            desk.device.inbox.succeed(message)

    def _start(self, job: Job) -> None:
        desk: Desk = job.payload
        desk.device.log("retraining_start", job.waiting_ns)
        desk.solved_map = desk.newest_map
        desk.result = self._executor.submit(desk.prepare or prepare, desk.task(desk.model, desk.newest_map))
