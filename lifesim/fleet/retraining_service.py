"""From a device's fault map to its redeployment: uplink, queue, retraining, downlink. The cloud's side of the conversation.

The cloud knows what it was sent and nothing else: the newest map received, and the version of the model that it last sent back.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import simpy

from lifesim.crossbar.faults import FaultMap
from lifesim.fleet.cloud import Cloud, Job
from lifesim.fleet.device import Device, Process
from lifesim.fleet.link import Direction, Link
from lifesim.fleet.redeployment import Redeployment, Retraining, prepare
from lifesim.fleet.service import ServiceTime
from lifesim.network.model import Model
from lifesim.recovery.delta import apply_delta
from lifesim.recovery.mapcodec import decode_map, encode_map


@dataclass(slots=True)
class Desk:
    """What the cloud keeps of one device: its link, the model that it runs, the newest map received, the job in progress."""

    device: Device
    link: Link
    model: Model
    layer_cells: tuple[int, ...]
    task: Callable[[Model, FaultMap], Retraining]
    service_key: int  # of the stream of its jobs' service times
    newest_map: FaultMap | None = None
    pending: bool = False
    result: Future[bytes] | None = None


class RetrainingService:
    """One desk a device, one queue for all. A retraining runs as a future on ``executor`` from the moment at which a worker is free."""

    def __init__(self, env: simpy.Environment, workers: int, service_ns: ServiceTime, executor: Executor):
        self.cloud = Cloud(env, workers, service_ns, self._start)
        self._env = env
        self._executor = executor
        self._desks: dict[int, Desk] = {}

    def open_desk(self, desk: Desk) -> None:
        """Serve one more device."""
        self._desks[desk.device.number] = desk

    def request(self, device: Device, fault_map: FaultMap) -> None:
        """Send the map; a retraining is queued unless one is pending, which then uses the newest map received when it starts."""
        desk = self._desks[device.number]
        if desk.pending:
            self._env.process(self._send_map(desk, fault_map))
        else:
            desk.pending = True
            self._env.process(self._retrain(desk, fault_map))

    def close(self) -> None:
        """At the horizon: what is still on a link is lost."""
        for desk in self._desks.values():
            desk.link.close()
            for direction, what in ((Direction.UP, "map"), (Direction.DOWN, "redeployment")):
                if lost := desk.link.traffic[direction].lost:
                    desk.device.log(f"{what}_lost", lost)

    def _send_map(self, desk: Desk, fault_map: FaultMap) -> Process:
        if desk.newest_map == fault_map:
            return
        data = encode_map(fault_map, desk.layer_cells)
        desk.device.log("map_sent", len(data))
        yield desk.link.send(len(data), Direction.UP)
        desk.device.log("map_received", len(data))
        desk.newest_map = decode_map(data, desk.layer_cells)

    def _retrain(self, desk: Desk, fault_map: FaultMap) -> Process:
        yield from self._send_map(desk, fault_map)
        desk.device.log("job")
        job = yield self.cloud.submit(desk.device.number, desk).done
        message = desk.result.result()
        desk.device.log("retraining_end", job.service_ns)
        desk.model = apply_delta(
            desk.model, Redeployment.decode(message, desk.model.architecture.input_shape).delta
        )
        desk.device.log("redeployment_sent", len(message))
        yield desk.link.send(len(message), Direction.DOWN)
        desk.device.log("redeployment_received", len(message))
        desk.pending, desk.result = False, None
        desk.device.inbox.succeed(message)

    def _start(self, job: Job) -> None:
        desk: Desk = job.payload
        desk.device.log("retraining_start", job.waiting_ns)
        desk.result = self._executor.submit(prepare, desk.task(desk.model, desk.newest_map))
