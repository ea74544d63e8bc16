"""The accuracy of devices whose networks are not evaluated: what the surrogate predicts, at the times at which the exact one would be judged."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from lifesim.experiment.observation import Observed, Sample, SpecSpan
from lifesim.fleet.build import Plan
from lifesim.fleet.records import DeviceRecord, Stretch


def predict(
    plans: Mapping[str, Plan],
    records: Sequence[DeviceRecord],
    report_times_ns: Sequence[int],
    horizon_ns: int,
    resolution_ns: int,
) -> list[Observed]:
    """Return what is predicted of each device, in the order of the records; crossings are bisected to ``resolution_ns``."""
    return [
        _observed(plans[record.group], record, report_times_ns, horizon_ns, resolution_ns)
        for record in records
    ]


def _observed(
    plan: Plan, record: DeviceRecord, report_times_ns: Sequence[int], horizon_ns: int, resolution_ns: int
) -> Observed:
    observed = Observed([], [], [])
    for stretch in record.stretches:
        first, end = (
            bisect_right(report_times_ns, stretch.start_ns),
            bisect_left(report_times_ns, stretch.end_ns),
        )
        times_ns = [stretch.start_ns, *report_times_ns[first:end], stretch.end_ns]
        right, stuck, expired = (of_times.tolist() for of_times in stretch.snapshot.state(times_ns))
        observed.judged.append(list(zip(times_ns, map(float, right), strict=True)))
        observed.spans.append(_spans(plan, stretch, times_ns, right, resolution_ns))
        # A report time at the start of a stretch counts for it; at its end only the horizon does.
        at_start = first > 0 and report_times_ns[first - 1] == stretch.start_ns < stretch.end_ns
        until = len(times_ns) - (stretch.end_ns != horizon_ns)
        for i in range(0 if at_start else 1, until):
            accuracy = right[i] / plan.spec_pictures
            observed.samples.append(
                Sample(
                    times_ns[i],
                    accuracy,
                    0.0,
                    accuracy,
                    right[i] >= plan.required_correct,
                    stuck[i],
                    expired[i],
                )
            )
    return observed


def _spans(
    plan: Plan, stretch: Stretch, times_ns: Sequence[int], right: Sequence[int], resolution_ns: int
) -> list[SpecSpan]:
    required = plan.required_correct
    spans, begun_ns, in_spec = [], stretch.start_ns, right[0] >= required
    for i in range(1, len(times_ns)):
        side = right[i] >= required
        if side == in_spec:
            continue
        a_ns, b_ns = times_ns[i - 1], times_ns[i]
        while b_ns - a_ns > resolution_ns:
            middle_ns = (a_ns + b_ns) // 2
            if (int(stretch.snapshot.state([middle_ns])[0][0]) >= required) == in_spec:
                a_ns = middle_ns
            else:
                b_ns = middle_ns
        crossed_ns = (a_ns + b_ns) // 2
        spans.append(SpecSpan(begun_ns, crossed_ns, in_spec))
        begun_ns, in_spec = crossed_ns, side
    return [*spans, SpecSpan(begun_ns, stretch.end_ns, in_spec)]
