"""A device's twin: what it reads does not depend on how many visits are asked for at once; what it does to
itself wears it.
"""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.bank import Bank, Wear
from lifesim.crossbar.cost import OperationCosts
from lifesim.crossbar.diagnosis import Diagnosis
from lifesim.crossbar.encoding import SLC
from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.crossbar.march import MARCH_C_MINUS
from lifesim.crossbar.overlay import Ageing
from lifesim.crossbar.soft import Retention
from lifesim.detection.criteria import Golden
from lifesim.detection.nullreads import Averaging
from lifesim.detection.reading import CalibratedRule, ReadNoise, TestRule
from lifesim.detection.schedules import Outcome
from lifesim.detection.statistics import Statistic
from lifesim.detection.testset import TestSet
from lifesim.fleet.lookahead import Lookahead
from lifesim.fleet.redeployment import Redeployment
from lifesim.fleet.silicon import Silicon
from lifesim.fleet.twin import DeviceTwin, Equipment
from lifesim.network.architecture import Architecture, Dense, Relu
from lifesim.network.changes import Transitions
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.physics.distributions import Lognormal, Weibull
from lifesim.physics.temperature import CosineProfile, equivalent_time
from lifesim.recovery.compensation import Correlations, compensated
from lifesim.recovery.delta import DeltaError, encode_delta
from lifesim.recovery.fitting import Fitting
from lifesim.recovery.importance import Importance
from lifesim.recovery.nearest import nearest_codes
from lifesim.recovery.placement import best_placement
from lifesim.streams import stream_key
from lifesim.timeunits import S_PER_DAY

DAY_NS = S_PER_DAY * 10**9
CLOCK = equivalent_time(CosineProfile(85.0), 85.0, 1.1)
VISITS = [day * DAY_NS + 5 for day in range(3, 300, 9)]


def make_model(seed=1):
    architecture = Architecture("small", (1, 2, 2), (Dense("fc1", 3), Relu(), Dense("fc2", 2)))
    rng = np.random.default_rng(seed)
    return Model.quantised(
        architecture, [rng.uniform(-1, 1, (4, 3)), rng.uniform(-1, 1, (3, 2))], [np.zeros(3), np.zeros(2)]
    )


def make_test_set(model, seed=1):
    pictures = np.random.default_rng(seed).integers(0, 256, (5, 1, 2, 2), dtype=np.uint8)
    return TestSet(pictures, Golden.of(Evaluator.of(model).confidences([model.codes], pictures, None)[0]))


COSTS = OperationCosts.preset("isaac_slc")
READ_ONLY = Diagnosis(MARCH_C_MINUS, read_only=True)


def make_twin(
    key=1,
    sigma=0.05,
    vote=1,
    scale=1e9,
    median_days=400.0,
    reload_days=None,
    diagnosis=Diagnosis(MARCH_C_MINUS),  # noqa: B008 (frozen)
    lookahead=None,
    kind="weight",
    **ladder,
):
    model = make_model()
    wear = Wear(Weibull(scale, 2.0), 0.8)
    retention = Retention(Lognormal(median_days * S_PER_DAY, 1.0), 0.5, 0, CLOCK)
    periods = (None, reload_days and reload_days * DAY_NS)
    silicon = Silicon.of_layers(
        tuple(
            Bank(stream_key(key, i), 16 * c.size, wear, (retention,), periods[i])
            for i, c in enumerate(model.codes)
        )
    )
    rule = TestRule("sdc3", pictures=5, vote=vote, rereads=1, baseline_reads=2)
    equipment = Equipment(
        rule, ReadNoise(sigma, 0.5, kind), COSTS, diagnosis, Evaluator.of(model), lookahead, **ladder
    )
    return DeviceTwin(silicon, model, make_test_set(model), equipment, stream_key(key, "noise"))


def wrong_at(twin, time_ns):
    (wrong,) = twin.new_wrong_cells([time_ns])
    return wrong


def findings(twin, windows):
    """All findings of VISITS, asked for in windows of these lengths: as (time, outcome, reads, without
    noise).
    """
    found, first, windows = [], 0, itertools.cycle(windows)
    while first < len(VISITS):
        times = VISITS[first : first + next(windows)]
        finding = twin.first_alarm(times)
        first += len(times) if finding is None else finding.position + 1
        if finding:
            found.append((times[finding.position], finding.outcome, finding.reads, finding.without_noise))
    return found


@settings(deadline=None, max_examples=15)
@given(
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.02, 0.06]),
    st.integers(1, 2),
    st.lists(st.integers(1, 12), min_size=1, max_size=9),
)
def test_a_visits_verdict_does_not_depend_on_the_window(key, sigma, vote, windows):
    one_by_one = findings(make_twin(key, sigma, vote), [1])
    twin = make_twin(key, sigma, vote)
    assert findings(twin, windows) == one_by_one
    assert findings(twin, windows[::-1]) == one_by_one, (
        "asked again, as after a redeployment that came to nothing"
    )
    ahead = make_twin(key, sigma, vote, lookahead=Lookahead())
    assert findings(ahead, windows) == one_by_one
    assert findings(ahead, windows[::-1]) == one_by_one


def test_what_devices_have_announced_is_looked_into_together():
    """Three devices, the second withdrawn by a rewrite; who asks first has all looked into, and finds what it would alone."""
    lookahead = Lookahead()
    twins = [make_twin(key, 0.0, lookahead=lookahead) for key in (1, 2, 3)]
    for twin in twins:
        twin.foresee(VISITS)
    twins[1].program(VISITS[0] - 1)
    found = [twin.first_alarm(VISITS) for twin in twins]
    alone = [make_twin(key, 0.0) for key in (1, 2, 3)]
    alone[1].program(VISITS[0] - 1)
    assert found == [twin.first_alarm(VISITS) for twin in alone]
    assert found[0] is not None and lookahead._waiting == []


def test_both_outcomes_occur_and_noise_is_told_apart():
    seen = {f[1:] for key in range(12) for f in findings(make_twin(key, 0.1), [4])}
    assert {(Outcome.UNCONFIRMED, 2, True), (Outcome.ALARM, 2, True), (Outcome.ALARM, 2, False)} <= seen
    assert {f[1:] for key in range(12) for f in findings(make_twin(key, 0.0), [4])} == {
        (Outcome.ALARM, 2, True)
    }
    assert findings(make_twin(sigma=0.0, median_days=1e9), [8]) == []


def test_a_baseline_makes_what_is_known_no_alarm():
    twin = make_twin(sigma=0.0)
    finding = twin.first_alarm(VISITS)
    alarm_ns = VISITS[finding.position]
    twin.read_goldens(alarm_ns)
    assert twin.first_alarm([alarm_ns]) is None, "what was read before was compared with other goldens"


def test_a_rewrite_cures_also_what_had_been_foreseen():
    twin = make_twin(sigma=0.0)
    finding = twin.first_alarm(VISITS)
    before_ns, alarm_ns = VISITS[finding.position - 1], VISITS[finding.position]
    twin.halt(before_ns)
    twin.program(before_ns + 1)
    assert twin.first_alarm([alarm_ns]) is None


def test_read_back_counts_cells_that_are_wrong_now_and_were_not_at_the_baseline():
    twin = make_twin(median_days=100.0)
    late_ns = 200 * DAY_NS
    held = twin.snapshot().held_at(late_ns).codes()
    wrong = sum(len(SLC.differing_cells(a, b)) for a, b in zip(twin.model.codes, held, strict=True))
    assert wrong_at(twin, 0) == 0 and wrong_at(twin, late_ns) == wrong > 20
    twin.read_back(50 * DAY_NS)
    known = wrong_at(make_twin(median_days=100.0), 50 * DAY_NS)
    assert 0 < known < wrong and wrong_at(twin, 50 * DAY_NS) == 0
    assert wrong_at(twin, late_ns) == wrong - known, "without a rewrite, what has expired stays expired"


def test_wear_of_an_intervention_and_reloads_that_stop_for_it():
    twin = make_twin(reload_days=10)
    assert [p.operations for p in twin.snapshot().at(25 * DAY_NS)] == [1, 3]
    twin.halt(25 * DAY_NS)
    twin.diagnose(FaultMap.empty(2))
    assert [p.operations for p in twin.programmed] == [6, 8]
    twin.program(47 * DAY_NS)  # the reloads of days 30 and 40 did not happen
    assert [(p.time_ns, p.operations) for p in twin.programmed] == [(47 * DAY_NS, 7), (47 * DAY_NS, 9)]
    assert [p.epoch for p in twin.programmed] == [1, 3]
    assert [p.operations for p in twin.snapshot().at(61 * DAY_NS)] == [7, 11]


def test_march_finds_the_cells_stuck_before_it_and_its_own_victims_next_time():
    twin = make_twin(scale=30.0)
    (first, _), (second, _) = twin.diagnose(FaultMap.empty(2)), twin.diagnose(FaultMap.empty(2))
    assert second.new_since(first) > 0 and first.new_since(second) == 0
    assert first == make_twin(scale=30.0).silicon.stuck_map(make_twin(scale=30.0).programmed, 0)


def test_a_read_only_diagnosis_adds_to_what_is_known_and_a_march_test_replaces_it():
    known = FaultMap.of([np.array([5]), np.array([], int)], [np.array([1]), np.array([], int)])
    march, read_only = (make_twin(scale=15.0, diagnosis=d) for d in (Diagnosis(MARCH_C_MINUS), READ_ONLY))
    every, again = march.diagnose(known)
    assert every.count > 0 and 5 not in every.cells[0] and again == 0
    some, again = read_only.diagnose(known)
    assert 5 in some.cells[0] and 0 < some.count - 1 < every.count
    assert again == some.count - 1 == sum(p.extra.total for p in read_only.programmed)


def test_after_a_read_only_diagnosis_the_cells_that_were_right_go_on_ageing_as_if_nothing_had_been():
    early_ns, late_ns = 60 * DAY_NS, 300 * DAY_NS
    twin, untouched = make_twin(median_days=100.0, diagnosis=READ_ONLY), make_twin(median_days=100.0)
    wrong = wrong_at(twin, early_ns)
    twin.halt(early_ns)
    found, again = twin.diagnose(FaultMap.empty(2))
    assert found.count == 0 and again == wrong > 20
    twin.resume(early_ns + 1)
    assert wrong_at(twin, early_ns + 1) == 0, "cured"
    assert [(p.time_ns, p.epoch, p.operations) for p in twin.programmed] == [(0, 0, 1)] * 2
    now, then = (t.snapshot().held_at(late_ns).codes() for t in (twin, untouched))
    for bank, a, b in zip(twin.programmed, now, then, strict=True):
        rewritten = bank.extra.merged()[0]
        assert set(SLC.differing_cells(a, b)) <= set(rewritten)
        assert 0 < len(SLC.differing_cells(a, b)) < len(rewritten), "some expire again"


def test_reloads_go_on_after_a_read_only_diagnosis_and_those_in_between_did_not_happen():
    twin = make_twin(reload_days=10, diagnosis=READ_ONLY)
    twin.halt(25 * DAY_NS)
    twin.diagnose(FaultMap.empty(2))
    twin.resume(47 * DAY_NS)  # without the reloads of days 30 and 40
    assert [p.operations for p in twin.snapshot().at(49 * DAY_NS)] == [1, 3]
    assert [p.operations for p in twin.snapshot().at(61 * DAY_NS)] == [1, 5]


def redeployment(twin, known, in_spec=True):
    codes = tuple(c.copy() for c in twin.model.codes)
    codes[0][1, 2] ^= 0b1011
    new = twin.model.with_codes(codes)
    test_set = make_test_set(new, 2)
    return new, Redeployment(
        in_spec, known.digest(), encode_delta(twin.model, new), len(test_set.pictures), test_set.encode()
    )


def test_a_redeployment_replaces_backup_and_test_set_and_expects_the_known_stuck_cells():
    twin = make_twin(scale=15.0, median_days=1e9, sigma=0.0)
    known, _ = twin.diagnose(FaultMap.empty(2))
    new, sent = redeployment(twin, known)
    got = twin.install(sent.encode(), known, {})
    twin.program(DAY_NS)
    assert twin.model.digest == new.digest and got.in_spec and got.map_digest == known.digest()
    assert np.array_equal(twin.test_set.pictures, make_test_set(new, 2).pictures)
    assert twin.golden is twin.test_set.golden and twin.golden.is_that_of(make_test_set(new, 2).golden)
    # March and programming have worn out more cells than the map knows: these are new, the known ones are
    # not.
    now = twin.silicon.stuck_map(twin.programmed, 0)
    wrong = {
        (i, cell)
        for i, (target, held) in enumerate(zip(new.codes, apply_map(new.codes, now), strict=True))
        for cell in SLC.differing_cells(target, held).tolist()
    }
    unknown = {(i, cell) for i, cell in wrong if cell not in known.cells[i]}
    assert 0 < len(unknown) < len(wrong) and wrong_at(twin, DAY_NS) == len(unknown)


def test_a_delta_on_another_backup_is_refused_and_changes_nothing():
    twin, empty = make_twin(), FaultMap.empty(2)
    new, sent = redeployment(twin, empty)
    twin.install(sent.encode(), empty, {})
    golden = twin.golden
    with pytest.raises(DeltaError):
        twin.install(sent.encode(), empty, {})
    assert twin.model.digest == new.digest and twin.golden is golden


def test_every_kind_of_read_noise_reads_otherwise():
    """And each as an evaluator that knows how weights lie in cells."""
    goldens = []
    for kind in ("weight", "cell_analog", "cell_adc"):
        twin = make_twin(sigma=0.01, kind=kind)
        twin.read_goldens(0)
        goldens.append(twin.golden.thousandths.tolist())
    assert len({tuple(golden) for golden in goldens}) == 3


@pytest.mark.parametrize("cuts", [(), (1,), (350, 999), (500, 1, 700)])
@pytest.mark.parametrize("changes_only", [False, True])
def test_whatever_the_power_cuts_off_the_device_holds_what_was_intended_in_the_end(changes_only, cuts):
    """Cuts after so many of 1,000 parts of a rewrite of 1,000 ns: each begins again, what was written is worn."""
    twin, empty = make_twin(sigma=0.0, median_days=1e9), FaultMap.empty(2)
    new, sent = redeployment(twin, empty)
    before = twin.model
    twin.halt(DAY_NS)
    twin.install(sent.encode(), empty, {})
    time_ns = DAY_NS
    for done_ns in cuts:
        time_ns += done_ns
        twin.interrupt(time_ns, done_ns, 1000, changes_only)
    (twin.program_changes if changes_only else twin.program)(time_ns + 1000)
    held = twin.snapshot().held_at(time_ns + 1000)
    assert held.condition.stuck_cells == 0 and twin.model.digest == new.digest
    for codes, intended in zip(held.codes(), new.codes, strict=True):
        assert np.array_equal(codes, intended)
    if changes_only:
        changed = SLC.differing_cells(before.codes[0], new.codes[0])
        written = [
            1 + sum(i < len(changed) * done_ns // 1000 for done_ns in cuts) for i in range(len(changed))
        ]
        assert twin.programmed[0].extra.of(changed).tolist() == written
        assert [p.operations for p in twin.programmed] == [1, 1] and twin.programmed[1].extra.total == 0
    else:
        sizes = [16 * codes.size for codes in new.codes]
        second = sum(done_ns * sum(sizes) > 1000 * sizes[0] for done_ns in cuts)
        assert [p.operations for p in twin.programmed] == [2 + len(cuts), 2 + second]


# -- nearest codes, and units at other places --


EVEN = Importance.even(make_model())


def fitted_and_placed(**options):
    """A device with worn cells that writes nearest codes, units placed for what it knew when it was placed; and what it knows now."""
    twin = make_twin(scale=12.0, median_days=1e9, fitting=Fitting(), importance=EVEN, **options)
    known, _ = twin.diagnose(FaultMap.empty(2))
    twin.fit(known)
    twin.program(DAY_NS)
    own_places = off(twin, twin.model)
    twin.place(known)
    twin.program(2 * DAY_NS)
    assert twin.placement.digest == best_placement(twin.model, known, EVEN).digest
    assert sorted(twin.placement.units[0].tolist()) != twin.placement.units[0].tolist()
    return twin, known, own_places


def off(twin, model):
    """By how much, squared, what is to be held is off."""
    pairs = zip(twin.snapshot().model.codes, model.codes, strict=True)
    return sum(float(((a.astype(float) - b) ** 2).sum()) for a, b in pairs)


def test_the_cells_hold_exactly_the_nearest_codes_of_the_placed_network():
    twin, known, own_places = fitted_and_placed(sigma=0.0)
    placement, snapshot = twin.placement, twin.snapshot()
    intended = nearest_codes(placement.placed(twin.model).codes, known)
    for wrote, codes in zip(twin.image.codes, intended, strict=True):
        assert np.array_equal(wrote, codes)
    # The last programming has worn out more cells; those aside, cells hold what was written, and the network gets it in its own order.
    held = snapshot.held_at(2 * DAY_NS)
    now = twin.silicon.stuck_map(twin.programmed, 2 * DAY_NS)
    for got, codes in zip(held.codes(), apply_map(intended, now), strict=True):
        assert np.array_equal(got, codes)
    in_own_order = placement.logical(apply_map(intended, now))
    for got, codes in zip(held.weights(), in_own_order, strict=True):
        assert np.array_equal(got, codes)
    assert off(twin, twin.model) < own_places


def test_what_stands_over_a_placed_network_is_what_its_cells_hold():
    """States as changes, alone or as an ageing, against states by all their weights; over the network itself and over another version."""
    twin, _, _ = fitted_and_placed()
    snapshot, times = twin.snapshot(), [(3 + 40 * k) * DAY_NS for k in range(5)]
    assert isinstance(snapshot.overlays(times)[0], Ageing)
    for base in (None, make_model(), twin.model):
        over = base or snapshot.model
        transitions = Transitions(over, SLC)
        for states in (snapshot.overlays(times, base), [snapshot.overlays([t], base)[0] for t in times]):
            changes = transitions.between(states, independent=True)
            for state, time_ns in enumerate(times):
                found = changes.codes_of(state, over.codes)
                for got, codes in zip(found, snapshot.held_at(time_ns).weights(), strict=True):
                    assert np.array_equal(got, codes)


def test_a_redeployment_places_for_the_map_that_it_was_made_for():
    """Not for what is known by now: the cloud has made it, and validated it, with that map."""
    twin, known, _ = fitted_and_placed(sigma=0.0)
    more, _ = twin.diagnose(known)
    assert more.new_since(known)
    base, (new, sent) = twin.model, redeployment(twin, known)
    twin.install(sent.encode(), more, {more.digest(): more, known.digest(): known})
    assert twin.placement.digest == best_placement(base, known, EVEN).digest
    for got, codes in zip(
        twin.image.codes, nearest_codes(twin.placement.placed(new).codes, more), strict=True
    ):
        assert np.array_equal(got, codes)
    changed = twin.changed_cells
    assert 0 < changed < 16 * sum(c.size for c in new.codes) / 2, (
        "units stay where they are: few cells change"
    )


def test_compensation_goes_by_what_is_known_and_by_what_the_backup_was_made_for():
    """The cells hold what the fitting says of the backup: first as deployed; then as retrained, for what the cloud knew; then with more stuck cells."""
    rng, sizes = np.random.default_rng(4), [len(c) for c in make_model().codes]
    correlations = Correlations(
        tuple(rng.uniform(0.1, 1, n).astype(np.float16) for n in sizes),
        tuple(rng.normal(size=(n, 4)).astype(np.float16) for n in sizes),
    )
    fitting = Fitting(correlations, trained_from=1)
    twin = make_twin(scale=12.0, median_days=1e9, fitting=fitting)
    known, _ = twin.diagnose(FaultMap.empty(2))
    twin.fit(known)

    def writes(expected):
        return all(np.array_equal(a, b) for a, b in zip(twin.image.codes, expected, strict=True))

    assert writes(compensated(twin.model.codes, known, correlations))
    assert not writes(nearest_codes(twin.model.codes, known))
    twin.program(DAY_NS)
    new, sent = redeployment(twin, known)
    twin.install(sent.encode(), known, {known.digest(): known})
    assert writes(fitting.retrained(new.codes, known))
    twin.program(2 * DAY_NS)
    more, _ = twin.diagnose(known)
    assert more.new_since(known)
    twin.fit(more)
    assert writes(compensated(fitting.retrained(new.codes, known), more, correlations))


# -- baselines that are known --


def calibrated_twin(**options):
    """A twin whose test set knows what it should show, and judges that more strictly than a baseline that was read."""
    twin = make_twin(**options)
    logits = Evaluator.of(twin.model).logits([twin.model.codes], twin.test_set.pictures)[0]
    statistic = Statistic.of("mahalanobis", np.tile(0.01 * np.eye(2), (5, 1, 1)))
    read = CalibratedRule(statistic, 7000, Averaging(1, 2, 0.5), rereads=1)
    known = dataclasses.replace(read, threshold=6000, averaging=Averaging(1, 0, 0.5))
    twin._equipment = dataclasses.replace(twin._equipment, known_baseline=True)
    twin.test_with(TestSet(twin.test_set.pictures, logits, read, known), FaultMap.empty(2))
    return twin


def test_a_baseline_is_known_for_the_stuck_cells_that_it_was_worked_out_for():
    twin, other = calibrated_twin(), FaultMap.of([np.arange(2), np.arange(0)], [np.ones(2), np.ones(0)])
    assert twin.knows_baseline(FaultMap.empty(2)) and not twin.knows_baseline(other)
    assert twin.rule.threshold == 6000
    twin.read_goldens(DAY_NS)
    assert twin.rule.threshold == 7000, "what was read has its own noise"
    twin.test_with(twin.test_set, other)
    assert twin.knows_baseline(other) and not twin.knows_baseline(FaultMap.empty(2))
    assert twin.rule.threshold == 6000


def test_devices_that_read_their_baselines_know_none():
    twin = make_twin()
    twin.test_with(twin.test_set, FaultMap.empty(2))
    assert not twin.knows_baseline(FaultMap.empty(2))


def test_after_a_redeployment_the_baseline_is_known_for_its_map():
    twin = calibrated_twin(scale=15.0, median_days=1e9)
    known, _ = twin.diagnose(FaultMap.empty(2))
    assert known.count and not twin.knows_baseline(known)
    twin.read_goldens(DAY_NS)
    new, sent = redeployment(twin, known)
    made = dataclasses.replace(
        twin.test_set,
        golden=Evaluator.of(new).logits([apply_map(new.codes, known)], twin.test_set.pictures)[0],
    )
    twin.install(dataclasses.replace(sent, pictures=0, test_set=made.encode(False)).encode(), known, {})
    assert twin.knows_baseline(known) and twin.rule.threshold == 6000
    assert np.array_equal(twin.golden, made.golden)


def test_a_visits_verdict_is_that_of_the_rule_for_its_baseline():
    """Against the known baseline more visits alarm than against one that was read: the threshold is lower. Looked ahead to or not, they are the same."""
    found = []
    for lookahead in (None, Lookahead()):
        twin = calibrated_twin(sigma=0.02, lookahead=lookahead)
        known = findings(twin, [5])
        twin.read_goldens(2 * DAY_NS)
        found.append((known, findings(twin, [5])))
    assert found[0] == found[1] and len(found[0][0]) > len(found[0][1]) > 0
