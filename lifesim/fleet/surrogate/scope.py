"""What a surrogate can stand in for; whatever else a scenario asks for is refused, by name."""

from __future__ import annotations

from collections.abc import Iterator

from lifesim.errors import UserError
from lifesim.fleet.cells import write_verify_of
from lifesim.scenario.models import Group, Scenario

SCHEDULES = "never", "periodic", "opportunistic", "hazard", "readback", "march_scrub", "blind_refresh"
_NEGLIGIBLE = 1e-9  # share of the cells on which write-verify gives up
_ADVICE = "--fidelity exact can"


def check_surrogate(scenario: Scenario) -> None:
    """Raise UserError, a line for each, where a surrogate cannot do what a scenario asks for."""
    problems = [
        f"{scenario.name}: group.{name}.{problem}; {_ADVICE}"
        for name, group in scenario.group.items()
        for problem in _problems(group)
    ]
    if problems:
        raise UserError("\n".join(problems))


def _problems(group: Group) -> Iterator[str]:
    technology, policy, aet = group.technology, group.policy, group.aet
    if group.schedule.kind not in SCHEDULES:
        yield f'schedule.kind = "{group.schedule.kind}": --fidelity surrogate cannot do it; allowed: {", ".join(SCHEDULES)}'
    if getattr(group.schedule, "read_only", False):
        yield "schedule.read_only = true: --fidelity surrogate knows March tests alone"
    if aet.criterion not in ("sdc1", "sdc3"):
        yield f'aet.criterion = "{aet.criterion}": --fidelity surrogate cannot predict it; allowed: sdc1, sdc3'
    if aet.baseline != "read":
        yield f'aet.baseline = "{aet.baseline}": --fidelity surrogate reads baselines; allowed: read'
    if list(policy.ladder) != ["retrain"]:
        yield f"policy.ladder = {list(policy.ladder)}: --fidelity surrogate has no rung but retrain"
    if policy.act_when.kind != "alarm":
        yield f'policy.act_when.kind = "{policy.act_when.kind}": --fidelity surrogate acts on all alarms; allowed: alarm'
    if policy.diagnosis.read_only:
        yield "policy.diagnosis.read_only = true: --fidelity surrogate knows March tests alone"
    if policy.diagnosis.retries:
        yield f"policy.diagnosis.retries = {policy.diagnosis.retries}: --fidelity surrogate tries no cell again; allowed: 0"
    if technology.drift != "none":
        yield f'technology.drift = "{technology.drift}": --fidelity surrogate counts faulty cells, and levels that drift are none; allowed: none'
    for key in ("fabrication_rate", "line_failures_per_year", "temperature_coefficient_per_k"):
        if value := getattr(technology, key):
            yield f"technology.{key} = {value:g}: --fidelity surrogate leaves it out; allowed: 0"
    if write_verify_of(technology).failure_probability > _NEGLIGIBLE:
        yield f"technology.verify_pulses_most = {technology.verify_pulses_most}: --fidelity surrogate writes all cells"
    for key in ("disturb_median_pulses", "half_select_median"):
        if (value := getattr(technology, key)) is not None:
            yield f"technology.{key} = {value:g}: --fidelity surrogate knows no disturbs"
