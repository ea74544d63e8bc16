"""Silent spells of lives written by hand, and their sum against the ledger of lives that were simulated."""

import pytest

from lifesim.experiment.accounting import DeviceAccount
from lifesim.experiment.observation import Observed, SpecSpan
from lifesim.experiment.schema import STATES
from lifesim.experiment.silence import ENDINGS, silent_spells
from lifesim.fleet.records import DeviceRecord, Event, Segment, State

SERVING, TESTING, REFRESHING, RETIRED = State.SERVING, State.TESTING, State.REFRESHING, State.RETIRED


def spells(segments, out_of_spec, alarms=(), stretches=None):
    """Segments as (state, end, known) from 0 on; ``out_of_spec``: [start, end) while serving; stretches end at ``stretches``."""
    record, start = DeviceRecord("group", 0, None), 0
    for state, end, *known in segments:
        record.segments.append(Segment(state, start, end, known=bool(known)))
        start = end
    spans = []
    for first, last in zip([0, *(stretches or [])], [*(stretches or []), start], strict=True):
        cuts = sorted({first, last, *(t for pair in out_of_spec for t in pair if first < t < last)})
        spans.append(
            [
                SpecSpan(a, b, not any(x <= a < y for x, y in out_of_spec))
                for a, b in zip(cuts, cuts[1:], strict=False)
            ]
        )
    events = [Event(time, "alarm") for time in alarms]
    account = DeviceAccount(record, Observed([], spans, []), None, None, None, None, None, None, events)
    return [tuple(spell) for spell in silent_spells(account)]


def test_until_an_alarm():
    """Out of spec at 20, the test from 50 to 52 alarms."""
    life = [(SERVING, 50), (TESTING, 52), (State.DIAGNOSING, 60), (REFRESHING, 70), (SERVING, 100)]
    assert spells(life, [(20, 52)], [52], [52, 70]) == [(20, 52, "alarm")]


def test_tests_that_pass_do_not_end_it():
    life = [(SERVING, 30), (TESTING, 31), (SERVING, 50), (TESTING, 51), (SERVING, 100)]
    assert spells(life, [(20, 100)]) == [(20, 100, "end")]


def test_a_refresh_ends_it_only_if_it_cures():
    life = [(SERVING, 50), (REFRESHING, 55), (SERVING, 100)]
    assert spells(life, [(20, 50)], stretches=[50]) == [(20, 55, "in_spec")]
    assert spells(life, [(20, 80)], stretches=[50]) == [(20, 80, "in_spec")]


def test_what_is_lost_while_an_alarm_is_unresolved_is_no_spell():
    life = [(SERVING, 50), (SERVING, 100, True)]
    assert spells(life, [(60, 100)]) == []
    assert spells(life, [(40, 100)]) == [(40, 50, "alarm")]


def test_an_alarm_that_cures_nothing_begins_another():
    life = [(SERVING, 50), (TESTING, 52), (State.DIAGNOSING, 60), (REFRESHING, 70), (SERVING, 100)]
    assert spells(life, [(20, 52), (70, 100)], [52], [52, 70]) == [(20, 52, "alarm"), (70, 100, "end")]


def test_an_alarm_at_the_very_end_counts():
    assert spells([(SERVING, 50), (TESTING, 52)], [(20, 52)], [52]) == [(20, 52, "alarm")]


def test_retirement_ends_it():
    life = [(SERVING, 50), (RETIRED, 80), (SERVING, 100)]
    assert spells(life, [(20, 50), (90, 100)], stretches=[50, 80]) == [(20, 50, "end"), (90, 100, "end")]


def test_spells_that_take_no_time_are_none():
    life = [(SERVING, 50), (TESTING, 52), (SERVING, 100)]
    assert spells(life, [(52, 52)], [52]) == []
    assert spells(life, []) == []


def test_endings_are_documented():
    assert {"alarm", "in_spec", "end"} == set(ENDINGS)


def test_spells_account_for_the_silent_time(lived):
    """Silent time of the ledger lies in spells; besides it, spells hold the tests and refreshes in between, and no time in spec or known."""
    silent, out_known = STATES_AT["out_silent"], STATES_AT["out_known"]
    whole = 0
    for account in lived.accounts:
        found = silent_spells(account)
        assert all(a.end_ns <= b.start_ns for a, b in zip(found, found[1:], strict=False))
        length = sum(spell.end_ns - spell.start_ns for spell in found)
        in_ledger = account.time_ns.sum(axis=0)
        assert in_ledger[silent] <= length
        assert length <= in_ledger.sum() - in_ledger[0] - in_ledger[out_known]
        whole += length
    assert whole > 0


STATES_AT = {state: i for i, state in enumerate(STATES)}


@pytest.mark.parametrize("ending", ["alarm", "in_spec"])
def test_lives_have_spells_of_this_ending(lived, ending):
    assert any(spell.ending == ending for account in lived.accounts for spell in silent_spells(account))
