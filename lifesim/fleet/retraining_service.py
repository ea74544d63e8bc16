"""From a device's fault map to its redeployment: uplink, queue, retraining, downlink."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from typing import Any

import simpy

from lifesim.crossbar.faults import FaultMap
from lifesim.fleet.cloud import Cloud, Job
from lifesim.fleet.device import Device
from lifesim.fleet.link import Link
from lifesim.fleet.redeployment import Retraining, prepare
from lifesim.network.model import Model
from lifesim.recovery.delta import apply_delta
from lifesim.recovery.mapcodec import decode_map, encode_map
