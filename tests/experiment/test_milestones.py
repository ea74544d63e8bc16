"""The firsts of devices made up for the purpose, and how long they waited from one to the next."""

from __future__ import annotations

from dataclasses import astuple
from types import SimpleNamespace

from lifesim.experiment.milestones import Wait, milestones, waits
from lifesim.experiment.observation import Observed, SpecSpan
from lifesim.fleet.records import DeviceRecord, Event, Segment, State, Stretch
from lifesim.timeunits import NS_PER_S

DAY_NS = 86_400 * NS_PER_S


def made_up(
    *spans: tuple[int, int, bool], alarms_at: tuple[int, ...] = (), retired_at: int | None = None
) -> SimpleNamespace:
    """A device with these spans (days, in spec), a stretch each, true alarms and a retirement."""
    record = DeviceRecord("made up", 0, None)
    record.stretches += [Stretch(a * DAY_NS, b * DAY_NS, None) for a, b, _ in spans]
    observed = Observed([], [[SpecSpan(a * DAY_NS, b * DAY_NS, in_spec)] for a, b, in_spec in spans], [])
    events = [Event(day * DAY_NS, "alarm", 1, "true") for day in alarms_at]
    if retired_at is not None:
        events.append(Event(retired_at * DAY_NS, "retirement"))
    return SimpleNamespace(record=record, observed=observed, events=events)


def days(account: SimpleNamespace) -> tuple[int | None, ...]:
    return tuple(None if ns is None else ns // DAY_NS for ns in astuple(milestones(account))[1:])


def test_milestones() -> None:
    lost_and_repaired = ((0, 30, True), (30, 40, False), (41, 100, True))
    assert days(made_up((0, 100, True))) == (None, None, None, None, None)
    assert days(made_up(*lost_and_repaired, alarms_at=(40,))) == (30, 40, 41, 41, None)
    assert days(made_up(*lost_and_repaired)) == (30, None, 41, None, None)
    assert days(made_up((0, 30, True), (30, 100, False))) == (30, None, None, None, None)
    retired = made_up((0, 30, True), (30, 40, False), alarms_at=(40,), retired_at=42)
    assert days(retired) == (30, 40, None, None, 42)
    no_time_out_of_spec = made_up((0, 0, False), (0, 9, True))
    assert days(no_time_out_of_spec) == (None, None, None, None, None)


def test_a_loss_during_an_unresolved_alarm_is_detected_at_once() -> None:
    account = made_up((0, 30, True), (30, 50, False), (50, 100, True))
    account.record.segments.append(Segment(State.SERVING, 20 * DAY_NS, 50 * DAY_NS, known=True))
    assert days(account) == (30, 30, 50, 50, None)


# Days: out of spec, detected, in spec again ...
FLEET = [
    made_up((0, 10, True), (10, 20, False), (20, 100, True), alarms_at=(20,)),  # at 10, at 20, at once
    made_up((0, 10, True), (10, 20, False), (27, 100, True), alarms_at=(20,)),  # at 10, at 20, at 27
    # cured by a reload at 25; out again at 40, detected then, still broken at the horizon
    made_up((0, 10, True), (10, 25, False), (25, 40, True), (40, 100, False), alarms_at=(60,)),
    made_up((0, 10, True), (10, 40, False), retired_at=40),  # retired undetected
    made_up((0, 10, True), (10, 30, False), alarms_at=(30,), retired_at=33),  # retired unrepaired
    made_up((0, 60, True), (60, 100, False)),  # undetected for the 40 days that are left
    made_up((0, 100, True)),  # never out of spec: waits for nothing
]


def waited(measure: str) -> list[tuple[int, bool]]:
    waiting = waits([milestones(account) for account in FLEET], 100 * DAY_NS)[measure]
    return [(wait.duration_ns // DAY_NS, wait.happened) for wait in waiting]


def test_detection_is_censored_by_whatever_comes_first_without_an_alarm() -> None:
    detected = [(10, True), (10, True), (15, False), (30, False), (20, True), (40, False)]
    assert waited("undetected") == detected


def test_repair_is_waited_for_from_the_detection_and_censored_by_retirement_and_horizon() -> None:
    # The first is in spec from the instant of its alarm: what follows an alarm is a repair only from the next instant on.
    assert waited("unrepaired") == [(80, False), (7, True), (40, False), (3, False)]


def test_time_in_a_box_is_no_time_in_service() -> None:
    account = made_up((5, 30, True), (30, 100, False), retired_at=100)
    account.record.commissioned_ns = 5 * DAY_NS
    waiting = waits([milestones(account)], 100 * DAY_NS)
    assert waiting["in_spec"] == [Wait(25 * DAY_NS, True)]
    assert waiting["in_service"] == [Wait(95 * DAY_NS, True)]


def test_what_happens_to_a_replacement_is_not_a_first() -> None:
    account = made_up((0, 30, True), (30, 40, False), (50, 60, True), (60, 70, False), retired_at=40)
    for stretch in account.record.stretches[2:]:
        stretch.generation = 1
    account.events.append(Event(65 * DAY_NS, "alarm", 1, "true"))
    assert days(account) == (30, None, None, None, 40)


def test_losses_and_retirements_are_of_all_devices() -> None:
    lost = [(10, True)] * 5 + [(60, True), (100, False)]
    assert waited("in_spec") == lost
    retired = [(100, False)] * 3 + [(40, True), (33, True)] + [(100, False)] * 2
    assert waited("in_service") == retired
