"""The conversation between devices and the cloud: devices that only listen, retraining that is instant."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
import simpy

from lifesim.crossbar.faults import FaultMap
from lifesim.detection.testset import TestSet
from lifesim.fleet import retraining_service
from lifesim.fleet.link import Direction, Link
from lifesim.fleet.redeployment import Redeployment
from lifesim.fleet.retraining_service import Desk, RetrainingService
from lifesim.fleet.service import fixed_service
from lifesim.network.model import Model
from lifesim.recovery.delta import encode_delta
from lifesim.recovery.mapcodec import encode_map
from lifesim.timeunits import NS_PER_S


class Listener:
    """What the service needs of a device."""

    def __init__(self, env: simpy.Environment, number: int) -> None:
        self.env, self.number = env, number
        self.inbox = env.event()
        self.trace: list[tuple[float, str, int]] = []

    def log(self, kind: str, amount: int = 0, detail: str = "") -> None:
        self.trace.append((self.env.now / NS_PER_S, kind, amount))

    def kinds(self) -> list[str]:
        return [kind for _, kind, _ in self.trace]

    def when(self, kind: str) -> list[float]:
        return [time_s for time_s, k, _ in self.trace if k == kind]


class Setting:
    """``devices`` listeners on links of 800 bit/s (10 ms a byte) and 5 s; a worker takes 100 s for a job."""

    def __init__(
        self,
        model: Model,
        devices: int = 1,
        workers: int = 1,
        service_s: float = 100.0,
        incremental: bool = False,
    ) -> None:
        self.env = simpy.Environment(initial_time=0)
        self.model = model
        self.cells = tuple(16 * c.size for c in model.codes)
        self.tasks: list[tuple[Model, FaultMap]] = []
        self.service = RetrainingService(self.env, workers, fixed_service(service_s), self)
        self.devices = [Listener(self.env, number) for number in range(devices)]
        self.links = [Link(self.env, 800.0, 800.0, 5.0) for _ in self.devices]
        for device, link in zip(self.devices, self.links, strict=True):
            self.service.open_desk(
                Desk(device, link, model, self.cells, self._task, device.number, incremental=incremental)
            )

    def _task(self, model: Model, fault_map: FaultMap) -> tuple[Model, FaultMap]:
        self.tasks.append((model, fault_map))
        return model, fault_map

    def submit(self, function: Callable[..., bytes], task: Any) -> Future:
        future: Future = Future()
        future.set_result(function(task))
        return future

    def map_bytes(self, fault_map: FaultMap) -> int:
        return len(encode_map(fault_map, self.cells))

    def ask(self, device: int, fault_map: FaultMap, at_s: float) -> None:
        def later():
            yield self.env.timeout(round(at_s * NS_PER_S))
            self.service.request(self.devices[device], fault_map)

        self.env.process(later())

    def run(self, until_s: float) -> None:
        self.env.run(until=round(until_s * NS_PER_S))


@pytest.fixture(autouse=True)
def toggling(monkeypatch: pytest.MonkeyPatch, test_set: TestSet) -> None:
    """Stand in for retraining: flip one bit of the model, and say which map it was for."""

    def prepare(task: tuple[Model, FaultMap]) -> bytes:
        model, fault_map = task
        codes = [c.copy() for c in model.codes]
        codes[0][0, 0] ^= 1
        delta = encode_delta(model, model.with_codes(codes))
        return Redeployment(True, fault_map.digest(), delta, 2, test_set.encode()).encode()

    monkeypatch.setattr(retraining_service, "prepare", prepare)


@pytest.fixture(scope="module")
def test_set() -> TestSet:
    from lifesim.detection.criteria import Golden

    confidences = np.eye(10, dtype=np.float32)[:2]
    return TestSet(np.zeros((2, 1, 28, 28), np.uint8), Golden.of(confidences))


@pytest.fixture(scope="module")
def maps(mlp_model: Model, random_damage) -> list[FaultMap]:
    return [random_damage(mlp_model, share, 1) for share in (1e-4, 2e-4, 3e-4)]


def read(message: bytes) -> Redeployment:
    return Redeployment.decode(message)


def test_one_job_from_map_to_inbox(mlp_model: Model, maps: list[FaultMap]) -> None:
    world = Setting(mlp_model)
    world.ask(0, maps[0], at_s=10)
    world.run(until_s=1000)
    (device,) = world.devices
    assert device.kinds() == [
        "map_sent", "map_received", "job", "retraining_start", "retraining_end",
        "redeployment_sent", "redeployment_received",
    ]  # fmt: skip
    up_s, down_s = 0.01 * world.map_bytes(maps[0]) + 5, 0.01 * len(device.inbox.value) + 5
    assert (
        device.when("map_received")
        == device.when("job")
        == device.when("retraining_start")
        == [pytest.approx(10 + up_s)]
    )
    assert device.when("retraining_end") == [pytest.approx(110 + up_s)]
    assert device.when("redeployment_received") == [pytest.approx(110 + up_s + down_s)]
    amounts = {kind: amount for _, kind, amount in device.trace}
    assert amounts["map_sent"] == amounts["map_received"] == world.map_bytes(maps[0])
    assert amounts["redeployment_sent"] == amounts["redeployment_received"] == len(device.inbox.value)
    assert (amounts["retraining_start"], amounts["retraining_end"]) == (0, 100 * NS_PER_S)
    assert read(device.inbox.value).map_digest == maps[0].digest()


def test_the_newest_map_that_has_arrived_when_a_worker_is_free_is_used(
    mlp_model: Model, maps: list[FaultMap]
) -> None:
    world = Setting(mlp_model, devices=2)
    world.ask(0, maps[0], at_s=0)
    world.ask(1, maps[0], at_s=1)  # waits until about 107 s
    world.ask(1, maps[1], at_s=50)
    world.ask(1, maps[2], at_s=104)  # arrives after the job has begun
    world.run(until_s=1000)
    assert [digest for _, m in world.tasks for digest in [m.digest()]] == [maps[0].digest(), maps[1].digest()]
    second = world.devices[1]
    assert second.kinds().count("map_sent") == 3 and second.kinds().count("job") == 1
    assert second.when("retraining_start")[0] < second.when("map_received")[2]
    assert read(second.inbox.value).map_digest == maps[1].digest()


def test_a_map_that_the_cloud_has_is_not_sent_again(mlp_model: Model, maps: list[FaultMap]) -> None:
    world = Setting(mlp_model)
    world.ask(0, maps[0], at_s=0)
    world.ask(0, maps[1], at_s=50)
    world.run(until_s=500)
    (device,) = world.devices
    assert device.inbox.triggered
    device.inbox = world.env.event()
    world.ask(0, maps[1], at_s=100)  # the answer was for the older map
    world.run(until_s=1000)
    assert device.kinds().count("map_sent") == 2 and device.kinds().count("job") == 2
    assert read(device.inbox.value).map_digest == maps[1].digest()


def test_incremental_maps_are_new_since_the_last_that_a_redeployment_has_answered(
    mlp_model: Model, maps: list[FaultMap]
) -> None:
    grown = [maps[0], maps[0].union(maps[1]), maps[0].union(maps[1]).union(maps[2])]
    world = Setting(mlp_model, incremental=True)
    (device,) = world.devices
    world.ask(0, grown[0], at_s=0)
    world.ask(0, grown[1], at_s=50)  # nothing has been answered yet
    world.run(until_s=1000)
    device.inbox = world.env.event()
    world.ask(0, grown[2], at_s=1)
    world.run(until_s=2000)
    sent = [amount for _, kind, amount in device.trace if kind == "map_sent"]
    whole = [world.map_bytes(m) for m in grown]
    assert sent[:2] == whole[:2]
    assert sent[2] == len(encode_map(grown[2], world.cells, since=grown[0])) < whole[2]
    assert world.tasks[1][1] == grown[2], "and the cloud knows the whole"


def test_deltas_build_on_each_other(mlp_model: Model, maps: list[FaultMap]) -> None:
    from lifesim.recovery.delta import apply_delta

    world = Setting(mlp_model)
    (device,) = world.devices
    backup = mlp_model
    for fault_map in maps:
        world.ask(0, fault_map, at_s=1)
        world.run(until_s=world.env.now / NS_PER_S + 500)
        backup = apply_delta(backup, read(device.inbox.value).delta)
        device.inbox = world.env.event()
        assert world.service._desks[0].model.digest == backup.digest
    assert [model.digest for model, _ in world.tasks][1:] != [mlp_model.digest] * 2


def test_workers_serve_in_order_of_arrival(mlp_model: Model, maps: list[FaultMap]) -> None:
    world = Setting(mlp_model, devices=3)
    for device, at_s in ((2, 0), (0, 1), (1, 2)):
        world.ask(device, maps[0], at_s)
    world.run(until_s=2000)
    starts = {device.number: device.when("retraining_start")[0] for device in world.devices}
    assert sorted(starts, key=starts.get) == [2, 0, 1]
    first = starts[2]
    assert [starts[0], starts[1]] == [pytest.approx(first + 100), pytest.approx(first + 200)]
    assert world.service.cloud.totals.finished == 3


@pytest.mark.parametrize(
    ("close_at_s", "lost"), [(2.0, ["map_lost"]), (50.0, []), (108.0, ["redeployment_lost"]), (1000.0, [])]
)
def test_what_is_under_way_at_the_horizon_is_lost(
    mlp_model: Model, maps: list[FaultMap], close_at_s: float, lost: list[str]
) -> None:
    world = Setting(mlp_model)
    world.ask(0, maps[0], at_s=0)
    world.run(until_s=close_at_s)
    world.service.close()
    (device,) = world.devices
    assert [kind for kind in device.kinds() if kind.endswith("_lost")] == lost
    amounts = {kind: amount for _, kind, amount in device.trace}
    for direction, what in ((Direction.UP, "map"), (Direction.DOWN, "redeployment")):
        traffic = world.links[0].traffic[direction]
        logged = tuple(amounts.get(f"{what}_{how}", 0) for how in ("sent", "received", "lost"))
        assert logged == (traffic.sent, traffic.received, traffic.lost)
        assert traffic.sent == traffic.received + traffic.lost


# Messages cut short, maps on the way, jobs that expire, worst first, replacement


class Cutting(Link):
    """A link that cuts short the messages whose ordinals (of all, both ways) are given."""

    def __init__(self, *args: Any, cut: tuple[int, ...]) -> None:
        super().__init__(*args)
        self._cut, self._count = cut, 0

    def _arriving(self, n_bytes: int, key: int) -> int:
        self._count += 1
        return n_bytes // 2 if self._count - 1 in self._cut else n_bytes


def totals(device: Listener) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for _, kind, amount in device.trace:
        amounts[kind] = amounts.get(kind, 0) + amount
    return amounts


@pytest.mark.parametrize(
    ("cut", "damaged"),
    [
        ((0,), ["map"]),  # map, notice, map, redeployment
        ((0, 2), ["map", "map"]),
        ((1,), ["redeployment"]),
        ((1, 3), ["redeployment", "redeployment"]),
        ((0, 1, 3), ["map", "redeployment"]),  # the notice, too, which needs not be whole
    ],
)
def test_a_message_cut_short_is_asked_for_again(
    mlp_model: Model, maps: list[FaultMap], cut: tuple[int, ...], damaged: list[str]
) -> None:
    world = Setting(mlp_model)
    desk = world.service._desks[0]
    desk.link = link = Cutting(world.env, 800.0, 800.0, 5.0, cut=cut)
    world.ask(0, maps[0], at_s=0)
    world.run(until_s=5000)
    world.service.close()
    (device,) = world.devices
    kinds = device.kinds()
    assert [kind.removesuffix("_damaged") for kind in kinds if kind.endswith("_damaged")] == damaged
    assert kinds.count("notice_received") == damaged.count("map")
    assert kinds.count("request_received") == damaged.count("redeployment")
    assert kinds.count("job") == kinds.count("map_received") == kinds.count("redeployment_received") == 1
    assert world.tasks == [(mlp_model, maps[0])]
    assert read(device.inbox.value).map_digest == maps[0].digest(), "the device recovers"
    told = totals(device)
    for direction, names in (
        (Direction.UP, ("map", "request")),
        (Direction.DOWN, ("redeployment", "notice")),
    ):
        sent, received, lost = (
            sum(told.get(f"{name}_{how}", 0) for name in names for how in hows)
            for hows in (("sent",), ("received",), ("damaged", "lost"))
        )
        assert sent == received + lost == link.traffic[direction].sent


def test_a_damaged_map_that_comes_after_a_newer_one_does_not_replace_it(
    mlp_model: Model, maps: list[FaultMap]
) -> None:
    world = Setting(mlp_model, devices=2)
    world.service._desks[1].link = Cutting(world.env, 800.0, 800.0, 5.0, cut=(0,))
    world.ask(0, maps[0], at_s=0)  # keeps the worker busy
    world.ask(1, maps[0], at_s=0)
    world.ask(1, maps[1], at_s=0.5)
    world.run(until_s=1000)
    assert [m.digest() for _, m in world.tasks] == [maps[0].digest(), maps[1].digest()]
    assert world.devices[1].kinds().count("map_received") == 2


def test_a_map_that_is_on_the_way_is_not_sent_again(mlp_model: Model, maps: list[FaultMap]) -> None:
    world = Setting(mlp_model, service_s=1.0)
    world.service._desks[0].link = Link(world.env, 80.0, 8e6, 1.0)  # slow up, quick down
    (device,) = world.devices
    world.ask(0, maps[0], at_s=0)
    received_s = 1 + 0.1 * world.map_bytes(maps[0])
    world.ask(0, maps[1], at_s=received_s + 0.5)  # while the job is in progress
    world.run(until_s=received_s + 5)
    assert read(device.inbox.value).map_digest == maps[0].digest()
    device.inbox = world.env.event()
    world.ask(0, maps[1], at_s=0)  # the answer was for the older map
    world.run(until_s=1000)
    assert device.kinds().count("map_sent") == 2
    assert device.when("job")[1] == device.when("map_received")[1], "the job waits for the map"
    assert read(device.inbox.value).map_digest == maps[1].digest()


def test_a_job_that_expires_is_told_to_the_device(mlp_model: Model, maps: list[FaultMap]) -> None:
    world = Setting(mlp_model, devices=2)
    world.service.cloud.expires_after_ns = 30 * NS_PER_S
    told: list[float] = []
    for device in world.devices:
        device.job_expired = lambda device=device: told.append((device.number, world.env.now / NS_PER_S))
    world.ask(0, maps[0], at_s=0)
    world.ask(1, maps[0], at_s=1)
    world.run(until_s=500)
    first, second = world.devices
    assert "job_expired" not in first.kinds() and first.inbox.triggered
    submitted = second.when("job")[0]
    assert second.when("job_expired") == [pytest.approx(submitted + 30)]
    assert told == [(1, pytest.approx(submitted + 30 + 0.12 + 5))], "the notice of 12 bytes takes its time"
    assert not second.inbox.triggered and world.service.cloud.totals.expired == 1
    world.ask(1, maps[0], at_s=0)  # calls again: the map is there, the job is new
    world.run(until_s=1000)
    assert (
        second.inbox.triggered and second.kinds().count("map_sent") == 1 and second.kinds().count("job") == 2
    )


def test_the_worst_map_is_served_first_and_a_newer_map_counts(mlp_model: Model, maps: list[FaultMap]) -> None:
    world = Setting(mlp_model, devices=4)
    world.service.cloud.order = "worst_first"
    world.ask(0, maps[0], at_s=0)  # in service until about 107 s
    world.ask(1, maps[0], at_s=1)
    world.ask(2, maps[1], at_s=2)
    world.ask(3, maps[0], at_s=3)
    world.ask(3, maps[2], at_s=50)
    world.run(until_s=2000)
    starts = {device.number: device.when("retraining_start")[0] for device in world.devices}
    assert sorted(starts, key=starts.get) == [0, 3, 2, 1]


def test_what_was_for_a_replaced_device_is_for_nobody(mlp_model: Model, maps: list[FaultMap]) -> None:
    world = Setting(mlp_model)
    world.ask(0, maps[1], at_s=0)
    world.run(until_s=50)
    world.service.renew_desk(0, mlp_model)
    world.ask(0, maps[0], at_s=1)
    world.run(until_s=120)
    (device,) = world.devices
    assert device.when("redeployment_received") and not device.inbox.triggered
    world.run(until_s=1000)
    assert read(device.inbox.value).map_digest == maps[0].digest()
    assert [model.digest for model, _ in world.tasks] == [mlp_model.digest] * 2
    world.service.close()
    told, traffic = totals(device), world.links[0].traffic[Direction.UP]
    assert told["map_sent"] == told["map_received"] == traffic.sent


# -- maps as what is new --


def sent_sizes(device: Listener) -> list[int]:
    return [amount for _, kind, amount in device.trace if kind == "map_sent"]


def test_what_is_new_is_since_an_answer_that_has_arrived_not_one_that_was_cut_short(
    mlp_model: Model, maps: list[FaultMap]
) -> None:
    """The first answer arrives damaged; a map sent before it has come whole cannot build on it."""
    world, grown = Setting(mlp_model, incremental=True), [maps[0], maps[0].union(maps[1])]
    world.service._desks[0].link = Cutting(world.env, 800.0, 800.0, 5.0, cut=(1,))
    (device,) = world.devices
    world.ask(0, grown[0], at_s=0)
    while "redeployment_damaged" not in device.kinds():
        world.env.step()
    world.ask(0, grown[1], at_s=0)
    world.run(until_s=2000)
    assert device.inbox.triggered
    assert sent_sizes(device) == [world.map_bytes(m) for m in grown]


def test_a_damaged_map_of_what_is_new_comes_again_and_gives_the_whole(
    mlp_model: Model, maps: list[FaultMap]
) -> None:
    world, grown = Setting(mlp_model, incremental=True), [maps[0], maps[0].union(maps[1])]
    (device,) = world.devices
    world.ask(0, grown[0], at_s=0)
    world.run(until_s=1000)
    device.inbox = world.env.event()
    world.service._desks[0].link = Cutting(world.env, 800.0, 800.0, 5.0, cut=(0,))
    world.ask(0, grown[1], at_s=0)
    world.run(until_s=2000)
    assert device.kinds().count("map_damaged") == 1
    new = len(encode_map(grown[1], world.cells, since=grown[0]))
    assert sent_sizes(device) == [world.map_bytes(grown[0]), new, new]
    assert world.tasks[1][1] == grown[1]


def test_a_new_device_s_map_is_whole_and_builds_on_nothing_of_the_old(
    mlp_model: Model, maps: list[FaultMap]
) -> None:
    world, grown = Setting(mlp_model, incremental=True), maps[0].union(maps[1])
    (device,) = world.devices
    world.ask(0, maps[0], at_s=0)
    world.run(until_s=1000)
    device.inbox = world.env.event()
    world.service.renew_desk(0, mlp_model)
    world.ask(0, grown, at_s=0)
    world.run(until_s=2000)
    assert sent_sizes(device) == [world.map_bytes(maps[0]), world.map_bytes(grown)]
    assert world.tasks[1] == (mlp_model, grown)
