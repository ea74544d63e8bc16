"""Units of time, of which the calendar has one kind only: a year is 365 days throughout, so that season and day repeat exactly."""

from __future__ import annotations

NS_PER_S = 1_000_000_000
S_PER_H = 3600
HOURS_PER_DAY = 24
S_PER_DAY = HOURS_PER_DAY * S_PER_H
DAYS_PER_YEAR = 365
S_PER_YEAR = DAYS_PER_YEAR * S_PER_DAY
