"""What a run came to, in sentences for a person."""

from __future__ import annotations

from typing import Any

from lifesim.timeunits import S_PER_DAY, S_PER_H, S_PER_YEAR


def summary_text(summary: dict[str, Any]) -> str:
    """Return the summary as text of at most 100 columns."""
    counts, cloud = summary["counts"], summary["cloud"]
    yearly, waits, rates = summary["per_device_year"], summary["waits"], summary["rates"]
    energy_j = yearly["energy_j"]
    regions = f" in {summary['regions']:,} regions" if "regions" in summary else ""
    alarms = counts["alarms_true"] + counts["alarms_early"] + counts["alarms_false"]
    lines = [
        f"{summary['scenario']} (seed {summary['seed']}): {summary['devices']:{',' if regions else ''}} devices{regions} for {_duration(summary['horizon_s'])}",
        *(
            f"  {name}: {g['devices']} x {g['network']} ({g['fixed_point']}), schedule {g['schedule']}, "
            f"accuracy {g['clean_accuracy']:.1%} when new, in spec from {g['required_accuracy']:.1%}"
            for name, g in summary["groups"].items()
        ),
        "",
        f"In spec      {summary['in_spec_availability']:8.3%} of the time (serving {summary['availability']:.5%})",
        f"Silent       {summary['out_silent_share']:8.3%} of the time out of spec with no alarm raised",
        f"At the end   {summary['in_spec_last']} of {summary['running_last']} running devices in spec"
        + (
            f", mean accuracy {summary['accuracy_last_mean']:.1%}"
            if summary["accuracy_last_mean"] is not None
            else ""
        )
        + (f"; {counts['retirements']} retired" if counts["retirements"] else ""),
        "",
        f"Tests        {counts['tests']:,}, {counts['tests_missed']:,} missed as the device was not serving, "
        f"{counts['tests_passed_out_of_spec']:,} passed out of spec",
        f"Alarms       {alarms:,}: {counts['alarms_true']:,} true, {counts['alarms_early']:,} early, "
        f"{counts['alarms_false']:,} false; {counts['alarms_unconfirmed']:,} not confirmed by re-reads",
        f"Repairs      {counts['diagnoses']:,} diagnoses, {counts['refreshes']:,} refreshes, "
        f"{counts['retrainings']:,} retrainings, {counts['reprogrammings']:,} redeployments",
        f"Waits        {_wait('losses detected', waits['detection'])}, {_wait('repaired', waits['repair'])}",
        f"Failures     spec loss {_rate(rates['spec_loss'])}, retirement {_rate(rates['retirement'])} FIT",
        f"Link         {_bytes(counts['uplink_sent_bytes'])} up, {_bytes(counts['downlink_sent_bytes'])} down"
        f"{_largest(yearly['bytes'])}",
        f"Cloud        {cloud['utilisation']:.2%} busy, mean wait {cloud['mean_wait_s']:.3g} s",
        f"Energy       {_joules(sum(energy_j.values()))} a device and year{_largest(energy_j)}",
        f"Wear         {yearly['cell_writes']:.3g} cell writes a device and year",
    ]
    if yearly["inferences"]:
        extra, answered = yearly["extra_wrong_inferences"], yearly["inferences"]
        lines.append(
            f"Inferences   {answered:.3g} a device and year, {extra:.3g} ({extra / answered:.2%}) more wrong than without faults"
        )
    for name, report in summary.get("surrogates", {}).items():
        off = report["held_out"]["deployed"]
        lines.append(
            f"Surrogate    {name}: predicted from {report['examples']:,} examples; on {off['examples']} held out, alarms off by "
            f"{off.get('alarm_share_error', 0.0):+.1%} of the tests, accuracy by {off.get('accuracy_error', 0.0):+.2%}"
        )
    return "\n".join(lines)


def _wait(what: str, wait: dict[str, Any]) -> str:
    """ "9 of 12 detected (median 3.2 d)"."""
    median = "" if wait["median_s"] is None else f" (median {_time(wait['median_s'])})"
    return f"{wait['events']} of {wait['devices']} {what}{median}"


def _rate(rate: dict[str, Any]) -> str:
    """ "12,000 (5,400 to 23,000)"; without events only the bound."""
    if rate["rate_fit"] is None:
        return "unknown"
    most_likely, low, high = (_number(rate[f"rate_{which}fit"]) for which in ("", "low_", "high_"))
    return f"{most_likely} ({low} to {high})" if rate["events"] else f"below {high}"


def _number(value: float) -> str:
    """Two digits, in full: "12,000"."""
    return f"{float(f'{value:.2g}'):,g}" if value < 1e15 else f"{value:.2g}"


def _largest(spent: dict[str, float], most: int = 3) -> str:
    """ ": test 61%, reload 35%", the largest causes first; nothing where nothing was spent."""
    whole = sum(spent.values())
    ranked = sorted(spent, key=lambda cause: -spent[cause])[:most]
    shares = [
        f"{cause.replace('_', ' ')} {spent[cause] / whole:.0%}"
        for cause in ranked
        if spent[cause] >= 0.005 * whole > 0
    ]
    return f": {', '.join(shares)}" if shares else ""


def _joules(joules: float) -> str:
    for unit, size in (("kJ", 1e3), ("J", 1.0), ("mJ", 1e-3), ("uJ", 1e-6)):
        if joules >= size:
            return f"{joules / size:.3g} {unit}"
    return f"{joules:.3g} J"


def _time(seconds: float) -> str:
    for unit, size in (("y", S_PER_YEAR), ("d", S_PER_DAY), ("h", S_PER_H), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s"


def _duration(seconds: float) -> str:
    return f"{seconds / S_PER_YEAR:g} years" if seconds >= S_PER_YEAR else f"{seconds / S_PER_DAY:g} days"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
