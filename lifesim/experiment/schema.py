"""Every column that a run writes, with its unit and meaning: the one place where they are documented, and that the code writes from."""

from __future__ import annotations

from dataclasses import dataclass

STATES = {
    "in_spec": "serving, within the tolerance of clean accuracy",
    "out_known": "serving out of spec while an alarm is unresolved",
    "out_silent": "serving out of spec, and no alarm raised: what a detection schedule exists to shorten",
    "testing": "reading test pictures or reading back the array",
    "diagnosing": "running a March test, which destroys the weights, or a read-only diagnosis",
    "refreshing": "writing the backup into the cells",
    "reprogramming": "applying a redeployment and writing it into the cells",
    "offline": "not serving until the cloud answers, by policy",
    "retired": "taken out of service, for good or until it is replaced",
    "uncommissioned": "before it was put into service",
}


@dataclass(frozen=True, slots=True)
class Column:
    """``unit`` is "" for counts and names; ``meaning`` is one sentence."""

    unit: str
    meaning: str


COUNTS = {
    "tests": Column(
        "",
        "visits that read something (test pictures or the array), whatever they found; one in progress at the horizon is not counted",
    ),
    "judgements": Column(
        "", "tests whether what has been written, nearest codes or units at other places, is enough"
    ),
    "tests_missed": Column("", "visits that fell where the device was not serving"),
    "tests_passed_out_of_spec": Column(
        "", "visits that found nothing although the device was out of spec (missed detections)"
    ),
    "alarms_unconfirmed": Column("", "first reads that alarmed and were not confirmed by the re-reads"),
    "alarms_true": Column("", "alarms raised out of spec"),
    "alarms_early": Column("", "alarms raised in spec, that a noise-free read would have raised, too"),
    "alarms_false": Column("", "alarms that a noise-free read would not have raised"),
    "alarms_tolerated": Column(
        "", "of the alarms, those not acted on as the loss that they stood for was not worth it"
    ),
    "diagnoses": Column("", "March tests (or read-only diagnoses) run"),
    "cells_tried_again": Column(
        "", "cells that failed a diagnosis and were tested again, or rewritten, one by one"
    ),
    "refreshes": Column("", "rewrites of all cells from the backup"),
    "placements": Column("", "rewrites of all cells with hidden units at other places"),
    "rewrites_cut": Column("", "refreshes and redeployments begun again after a power cut"),
    "jobs": Column("", "retrainings asked of the cloud"),
    "retrainings": Column("", "retrainings finished by the cloud"),
    "validations_failed": Column("", "redeployments that the cloud's own validation found out of spec"),
    "reprogrammings": Column("", "redeployments applied"),
    "retirements": Column("", "devices taken out of service"),
    "replacements": Column("", "new devices put into the place of a retired one"),
    "inferences": Column("", "inferences answered while serving"),
    "reloads": Column("", "reloads of single layers from the backup"),
    "jobs_expired": Column("", "retrainings given up because no worker took them up in time"),
    "uplink_sent_bytes": Column("B", "fault maps and requests put on the link, each time that they are"),
    "uplink_received_bytes": Column("B", "of them, received whole by the cloud"),
    "uplink_lost_bytes": Column("B", "of them, damaged; at the horizon, also what was still under way"),
    "uplink_messages": Column("", "messages of the device that came through, whole or damaged"),
    "uplink_air_bytes": Column(
        "B", "sent for those messages: with the frames' overhead, and with lost frames, which are sent again"
    ),
    "downlink_sent_bytes": Column("B", "redeployments and notices put on the link, each time that they are"),
    "delta_sent_bytes": Column(
        "B", "of them, changed weights; the others are test pictures and their scores, and notices"
    ),
    "downlink_received_bytes": Column("B", "of the bytes put on the downlink, received whole by the device"),
    "downlink_lost_bytes": Column(
        "B", "of the bytes put on the downlink, damaged; at the horizon, also what was still under way"
    ),
    "downlink_messages": Column("", "messages of the cloud that came through, whole or damaged"),
    "downlink_air_bytes": Column("B", "sent for those messages, as on the uplink"),
    "messages_damaged": Column("", "messages that arrived cut short, and were asked for again"),
    "rewrite_pulses": Column("", "write pulses of rewrites of all cells"),
    "single_cell_pulses": Column("", "write pulses of cells that a redeployment has written alone"),
    "cell_writes": Column(
        "", "programming operations of all cells together; those of a rewrite count when it ends"
    ),
}
"""Integer counts; every one adds up over time, devices and groups."""

DURATIONS = {f"{state}_s": Column("s", f"time {meaning}") for state, meaning in STATES.items()}
SHARES = {
    f"{state}_share": Column("1", f"share of the device time spent {meaning}")
    for state, meaning in STATES.items()
}
TOTALS = {
    "availability": Column("1", "share of the time since it was put into service serving, in spec or not"),
    "in_spec_availability": Column("1", "share of the time since it was put into service serving in spec"),
}
ENERGY_CAUSES = {
    "test": "visits that read: test pictures or the array",
    "baseline": "reading what later visits are compared with",
    "diagnosis": "March tests or read-only diagnoses",
    "rewrite": "refreshes and redeployments",
    "reload": "reloads of single layers",
    "inference": "inferences",
    "radio": "messages of both directions: bytes on the air and wake-ups of the device's radio; those under way count when they arrive",
}
ENERGY = {
    "energy_j": Column("J", "energy of all causes that follow together"),
    **{f"energy_{cause}_j": Column("J", f"of it, {meaning}") for cause, meaning in ENERGY_CAUSES.items()},
}

ANSWERS = {
    "wrong_inferences_expected": Column(
        "",
        "expected number of them answered wrongly; accuracy is taken as linear between two times at which it was observed",
    ),
    "extra_wrong_inferences": Column(
        "",
        "of them, those beyond what the network without faults gets wrong; below 0 where retraining has improved on it",
    ),
}

FLEET = {
    "time_s": Column(
        "s", "end of the period that the row is about, since the start; the first row is the start itself"
    ),
    "devices": Column("", "devices"),
    **DURATIONS,
    **SHARES,
    **TOTALS,
    "accuracy_devices": Column(
        "", "devices whose accuracy could be observed at that time (not in an intervention, not retired)"
    ),
    "accuracy_mean": Column("1", "mean of their noise-free accuracy on the spec pictures at that time"),
    "accuracy_mean_se": Column(
        "1",
        "standard error of that mean as an estimate of the mean on all spec pictures; 0 where all are looked at (`spec.confidence` = 1)",
    ),
    "accuracy_p05": Column("1", "5th percentile over devices (linear interpolation)"),
    "accuracy_min": Column("1", "lowest accuracy of a device"),
    "in_spec_devices": Column("", "of the observed devices, those in spec at that time"),
    "stuck_cells_mean": Column("", "mean number of stuck cells of an observed device at that time"),
    "expired_cells_mean": Column(
        "",
        "mean number of cells of an observed device that have lost their state and not been rewritten since, stuck ones among them",
    ),
    **COUNTS,
    **ANSWERS,
    **ENERGY,
}

GROUPS = {"group": Column("", "group of devices"), **FLEET}

DEVICES = {
    "device": Column("", "number of the device, from 0 in the order of the scenario"),
    "group": Column("", "group of devices"),
    **DURATIONS,
    **TOTALS,
    "accuracy_mean": Column("1", "mean of its accuracy over the report times at which it could be observed"),
    "accuracy_mean_se": Column("1", "its standard error, at most; 0 where all spec pictures are looked at"),
    "accuracy_min": Column("1", "lowest accuracy at a report time"),
    "accuracy_last": Column("1", "accuracy at the last of them"),
    "accuracy_last_se": Column("1", "its standard error"),
    "commissioned_s": Column("s", "when it was put into service"),
    "first_out_of_spec_s": Column("s", "when it was first out of spec; empty if never"),
    "first_detection_s": Column(
        "s",
        "first true alarm from then on, or that very time if an earlier alarm was still unresolved; empty if none",
    ),
    "first_back_in_spec_s": Column(
        "s", "when it was first in spec again, repaired or by chance; empty if never"
    ),
    "first_repair_s": Column(
        "s", "when it was first in spec again after that detection; empty if never, or never detected"
    ),
    "end_of_life_s": Column(
        "s", "when it was first retired; empty if it was not; its other firsts are from before that"
    ),
    **COUNTS,
    **ANSWERS,
    **ENERGY,
}

REGION = {"region": Column("", "number of the region")}
"""Of devices.csv and events.parquet, before all others, where there are several regions."""

MEASURES = {
    "in_spec": "time until first out of spec",
    "undetected": "from then until the first alarm raised out of spec, censored if it was in spec again before",
    "unrepaired": "from that alarm until in spec again",
    "in_service": "time until retirement",
}
SURVIVAL = {
    "group": Column("", "group of devices"),
    "measure": Column("", "; ".join(f"{measure}: {meaning}" for measure, meaning in MEASURES.items())),
    "time_s": Column("s", "time at which the curve steps"),
    "at_risk": Column("", "devices still under observation just before"),
    "events": Column("", "devices to which it happened at that time"),
    "censored": Column(
        "", "devices whose observation ended since the step before, up to and including this time"
    ),
    "survival": Column("1", "Kaplan-Meier estimate just after"),
    "standard_error": Column("1", "its standard error (Greenwood)"),
}

FAILURES = {"spec_loss": "in_spec", "retirement": "in_service"}
"""Failure whose rate is estimated -> the measure that it ends."""

RATES = {
    "group": Column("", "group of devices"),
    "failure": Column("", "spec_loss: first time out of spec; retirement: taken out of service"),
    "events": Column("", "devices to which it happened"),
    "device_time_h": Column(
        "h", "device-hours at risk: until it happened, or until retirement or the horizon"
    ),
    "rate_fit": Column("FIT", "failures per 1e9 device-hours, taken as constant: events over device-hours"),
    "rate_low_fit": Column("FIT", "lower end of its 95 % interval (chi-square); 0 without events"),
    "rate_high_fit": Column(
        "FIT", "upper end; without events the one-sided 95 % bound, 3.0 failures in the device-hours"
    ),
}

LAYERS = {
    "group": Column("", "group of devices"),
    "layers": Column(
        "", "layer that has these cells to itself, or the layers that pass through them, joined by +"
    ),
    "cells": Column("", "cells of a device"),
    "operations_mean": Column(
        "", "programming operations per cell when the device was last in use, mean over devices"
    ),
    "operations_max": Column("", "the most of a cell of a device"),
    "expected_stuck_mean": Column(
        "",
        "cells that so many operations wear out on average, given each device's own endurance; mean over devices",
    ),
    "stuck_cells_mean": Column("", "cells that are stuck, worn out or for another reason; mean over devices"),
    "stuck_cells_max": Column("", "the most of a device"),
    "expired_cells_mean": Column(
        "", "cells that have lost their state since they were last programmed, mean over devices"
    ),
}
"""Of layers.csv: the state when a device was last in use, which is the horizon unless it was retired, offline or under repair then."""

EVENTS = {
    "time_ns": Column("ns", "time since the start"),
    "device": Column("", "number of the device"),
    "group": Column("", "group of devices"),
    "event": Column("", "kind of event"),
    "amount": Column("", "see the kind of event"),
    "detail": Column("", "see the kind of event"),
}

EVENT_KINDS = {
    "baseline": "what later visits are compared with was read",
    "unconfirmed_alarm": "a first read alarmed, the re-reads did not; amount: reads",
    "alarm": "amount: reads; detail: true, early or false (the trace of an interrupted run, which was not judged: noise for false, else empty)",
    "diagnosis": "a diagnosis ended; amount: stuck cells known then; detail: how many of them are new",
    "cells_named": "a reload could not write some cells, which are known to be stuck from now on; amount: stuck cells known then; detail: how many of them are new",
    "tried_again": "during the diagnosis that ended now; amount: cells tested again or rewritten one by one",
    "refresh": "a rewrite of all cells from the backup ended",
    "map_sent": "a fault map was put on the uplink; amount: bytes",
    "map_received": "the cloud received it; amount: bytes; detail: bytes on the air for it",
    "map_damaged": "it reached the cloud cut short; amount: bytes; detail: bytes on the air for it",
    "map_lost": "it was under way at the horizon; amount: bytes",
    "request_sent": "the device asked for something in a few bytes; amount: bytes; detail: what",
    "request_received": "the cloud received it; amount: bytes; detail: bytes on the air for it",
    "request_lost": "it was under way at the horizon; amount: bytes",
    "notice_sent": "the cloud told the device something in a few bytes; amount: bytes; detail: what",
    "notice_received": "the device received it; amount: bytes; detail: bytes on the air for it",
    "notice_lost": "it was under way at the horizon; amount: bytes",
    "job": "a retraining was queued",
    "job_expired": "the cloud gave it up: no worker was free in time; amount: waiting time in ns",
    "retraining_start": "a worker took it up; amount: waiting time in ns",
    "retraining_end": "the worker finished; amount: service time in ns",
    "redeployment_sent": "delta, test pictures and golden scores were put on the downlink; amount: bytes; detail: how many of them are the delta",
    "redeployment_received": "the device received them; amount: bytes; detail: bytes on the air for them",
    "redeployment_damaged": "they reached the device cut short; amount: bytes; detail: bytes on the air for them",
    "redeployment_lost": "they were under way at the horizon; amount: bytes",
    "reprogramming": "the redeployment was written into the cells; amount: bytes of the delta",
    "fitting": "cells were written in which the nearest code that stuck cells allow has changed",
    "placement": "all cells were written, hidden units where the known stuck cells harm them least",
    "judgement": "a test after nearest codes or a placement have been written; amount: its score, from which the next rung is climbed or not",
    "verification": "the test after a redeployment passed; amount: reads",
    "drift_suspected": "it alarmed after a redeployment that wrote only what it changed: all cells are rewritten and it is repeated; amount: reads",
    "validation_failed": "the cloud had found the redeployed model out of spec",
    "retirement": "taken out of service; amount: redeployments in a row that failed",
    "replacement": "a new device was put into its place; amount: how many there have been",
    "alarm_tolerated": "the alarm was not acted on; amount: its score (thousandths of confidence, or wrong cells)",
    "power_cut": "the power went during a rewrite, which began again; amount: ns since it had begun",
}

ESTIMATES = {
    "measure": Column(
        "", "what is estimated, of a region on average; counts and energy for each device and year in service"
    ),
    "estimate": Column("", "from all regions by surrogate and the exact ones together, unbiased"),
    "low": Column("", "lower end of its interval (95 %, Student's t)"),
    "high": Column("", "upper end"),
    "exact": Column("", "the mean of the exact regions alone"),
    "exact_low": Column("", "lower end of its interval"),
    "exact_high": Column("", "upper end"),
    "surrogate": Column("", "the mean of all regions by surrogate alone, biased as the surrogate is"),
    "correlation": Column("", "of exact and surrogate in the regions in which both are known"),
    "exact_regions": Column("", "how many these are"),
    "regions": Column("", "how many there are in all"),
}
"""estimates.csv, of a run with --fidelity multi."""
