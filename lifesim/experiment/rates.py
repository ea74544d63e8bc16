"""Failure rates in FIT: failures per 1e9 device-hours, with an interval that says how little a quiet fleet proves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import gammaincinv

from lifesim.experiment.milestones import Wait
from lifesim.timeunits import NS_PER_S, S_PER_H

CONFIDENCE = 0.95
_NS_PER_H = S_PER_H * NS_PER_S


@dataclass(frozen=True, slots=True)
class FailureRate:
    """``events`` in ``device_time_h``; ``rate_fit`` and its bounds in failures per 1e9 device-hours, None where nobody was at risk."""

    events: int
    device_time_h: float
    rate_fit: float | None
    rate_low_fit: float | None
    rate_high_fit: float | None


def failure_rate(waits: Sequence[Wait], confidence: float = CONFIDENCE) -> FailureRate:
    """Return the rate of something that ends a device's time at risk, taken as constant.

    With k events in the time T (each device's time to the event, or to the end of its observation), the rate is k / T. Its interval is the
    chi-square one of observation that ends at a fixed time,

        chi2(alpha / 2; 2 k) / 2T  to  chi2(1 - alpha / 2; 2 k + 2) / 2T,    alpha = 1 - confidence

    the exact interval of the mean of a Poisson count (Garwood 1936), as JESD85 has it for FIT. Without an event there is no lower bound
    to be wrong about, and the upper one is one-sided: chi2(confidence; 2) / 2T = -ln(alpha) / T.
    """
    return rate_of(sum(wait.happened for wait in waits), sum(wait.duration_ns for wait in waits), confidence)


def rate_of(events: int, at_risk_ns: int, confidence: float = CONFIDENCE) -> FailureRate:
    """Return the rate of so many events in so much time at risk, as :func:`failure_rate` does."""
    hours = at_risk_ns / _NS_PER_H
    if not hours:
        return FailureRate(events, hours, None, None, None)
    alpha, fit = 1.0 - confidence, 1e9 / hours
    # chi2(p; 2 k) / 2 is the inverse of the regularised incomplete gamma function of order k.
    low = float(gammaincinv(events, alpha / 2)) if events else 0.0
    high = float(gammaincinv(events + 1, 1.0 - (alpha / 2 if events else alpha)))
    return FailureRate(events, hours, events * fit, low * fit, high * fit)
