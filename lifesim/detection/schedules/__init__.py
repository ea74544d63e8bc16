"""Schedules: when a device is visited, what a visit does, and what it finds. One small class each, behind :class:`Schedule`."""

from lifesim.detection.schedules.adaptive import Adaptive
from lifesim.detection.schedules.hazard import Hazard
from lifesim.detection.schedules.opportunistic import Opportunistic
from lifesim.detection.schedules.oracle import Oracle
from lifesim.detection.schedules.plain import BlindRefresh, MarchScrub, Never, Periodic, Readback
from lifesim.detection.schedules.protocol import (
    NO_COST,
    ChoosingSchedule,
    Course,
    Examinee,
    Finding,
    NothingForeseen,
    NothingRead,
    Outcome,
    PicturesRead,
    Regular,
    Schedule,
    Trip,
    VisitCosts,
)
from lifesim.detection.schedules.reload_verify import ReloadVerify
from lifesim.detection.schedules.sentinel import Sentinel

__all__ = [
    "NO_COST",
    "Adaptive",
    "BlindRefresh",
    "ChoosingSchedule",
    "Course",
    "Examinee",
    "Finding",
    "Hazard",
    "MarchScrub",
    "Never",
    "NothingForeseen",
    "NothingRead",
    "Opportunistic",
    "Oracle",
    "Outcome",
    "Periodic",
    "PicturesRead",
    "Readback",
    "Regular",
    "ReloadVerify",
    "Schedule",
    "Sentinel",
    "Trip",
    "VisitCosts",
]
