"""What a device expects of its cells: closed forms by hand, and what simulated silicon of nominal devices does."""

import numpy as np
import pytest

from lifesim.crossbar.programming import Programmed
from lifesim.fleet.hardware import Hardware, make_silicon
from lifesim.fleet.prospect import Prospect
from lifesim.physics.distributions import failed_share
from lifesim.scenario.models import Scenario
from lifesim.timeunits import NS_PER_S, S_PER_DAY, S_PER_YEAR

DAY_NS, YEAR_NS = S_PER_DAY * NS_PER_S, S_PER_YEAR * NS_PER_S
NEW = Programmed(0, 0, 1)
OVEN = {"preset": "indoor", "mean_c": 85, "season_amplitude_c": 0, "day_amplitude_c": 0, "self_heating_c": 0}
NO_SPREAD = {"endurance_spread_sigma_ln": 0, "retention_spread_sigma_ln": 0}


def fleet_of(count, **technology):
    """MLPs in an oven at the reference temperature; fc2 is reloaded every 5 minutes."""
    group = {
        "count": count, "network": "mlp", "site": OVEN, "workload": {"reloads_per_day": {"fc2": 288}},
        "technology": {"preset": "rated_1e4", **NO_SPREAD, **technology}, "schedule": {"kind": "never"},
    }  # fmt: skip
    scenario = Scenario.model_validate({"name": "t", "horizon_s": "10 y", "group": {"g": group}})
    group, hardware = scenario.group["g"], Hardware.of(scenario.group["g"])
    return group.technology, [make_silicon(group, hardware, scenario, "g", slot) for slot in range(count)]


def test_by_hand():
    """fc1 and fc3 lose their state, fc2 wears out; a test writes every cell six times."""
    technology, (silicon,) = fleet_of(1, retention_median_s="2 y", retention_sigma_ln=1.0)
    prospect = Prospect.of(technology, writes_per_test=6)
    cells = [bank.n_cells for bank in silicon.banks]
    wear, (retention,) = prospect.wear, prospect.soft.values()
    a_ns, b_ns = YEAR_NS, YEAR_NS + 30 * DAY_NS
    of_resident = sum(
        float(failed_share(retention, b_ns / NS_PER_S) - failed_share(retention, a_ns / NS_PER_S)) * n
        for n in (cells[0], cells[2])
    )
    of_reloaded = (
        float(failed_share(wear.limits, 1 + 288 * 395) - failed_share(wear.limits, 1 + 288 * 365)) * cells[1]
    )
    programmed = (NEW,) * 3
    assert prospect.expected_faults(silicon, programmed, a_ns, b_ns) == pytest.approx(
        of_resident + of_reloaded, rel=1e-9
    )
    tested = tuple(p.worn(6) for p in programmed)
    without, with_it = (prospect.expected_faults(silicon, tested, a_ns, b_ns, tests) for tests in (0, 1))
    of_test = sum(
        n * float(failed_share(wear.limits, before + 7) - failed_share(wear.limits, before + 1))
        for n, before in zip(cells, (0, 288 * 365, 0), strict=True)
    )
    assert with_it - without == pytest.approx(of_test, rel=1e-6)


def test_nominal_devices_have_the_faults_that_they_expect():
    """20 devices without spread: faults new in the third year, within 4 standard errors of the expectation."""
    technology, fleet = fleet_of(20, endurance_scale_cycles=5e6)
    prospect, programmed = Prospect.of(technology, 6), (NEW,) * 3

    def faulty(silicon, time_ns):
        banks = [bank.faults_at(NEW, time_ns) for bank in silicon.banks]
        return sum(len(f.stuck) + (len(f.expired) if i != 1 else 0) for i, f in enumerate(banks))

    found = [faulty(silicon, 3 * YEAR_NS) - faulty(silicon, 2 * YEAR_NS) for silicon in fleet]
    expected = prospect.expected_faults(fleet[0], programmed, 2 * YEAR_NS, 3 * YEAR_NS)
    assert expected > 100
    assert abs(np.mean(found) - expected) < 4 * np.sqrt(expected / len(fleet))


def test_a_device_does_not_know_its_own_place_in_the_spread():
    technology, fleet = fleet_of(3, endurance_spread_sigma_ln=0.5, retention_spread_sigma_ln=0.5)
    prospect, programmed = Prospect.of(technology, 6), (NEW,) * 3
    assert len({prospect.expected_faults(s, programmed, 0, YEAR_NS) for s in fleet}) == 1


def test_reads_count_where_they_disturb():
    technology, (silicon,) = fleet_of(1)
    without = Prospect.of(technology, 6).expected_faults(silicon, (NEW,) * 3, 0, YEAR_NS)
    group = {
        "count": 1, "network": "mlp", "site": OVEN, "schedule": {"kind": "periodic", "interval_s": "1 d"},
        "technology": {"preset": "rated_1e4", "disturb_median_pulses": 1e5, **NO_SPREAD},
        "workload": {"reloads_per_day": {"fc2": 288}},
    }  # fmt: skip
    scenario = Scenario.model_validate({"name": "t", "horizon_s": "10 y", "group": {"g": group}})
    hardware = Hardware.of(scenario.group["g"])
    disturbed = make_silicon(scenario.group["g"], hardware, scenario, "g", 0)
    technology = scenario.group["g"].technology
    prospect = Prospect.of(technology, 6)
    pulses = [bank.soft[1].reading(YEAR_NS) for bank in disturbed.banks]
    more = sum(
        disturbed.banks[i].n_cells * float(failed_share(prospect.soft["read disturb"], pulses[i]))
        for i in (0, 2)
    )
    assert more > 1.0
    assert prospect.expected_faults(disturbed, (NEW,) * 3, 0, YEAR_NS) == pytest.approx(without + more)
