"""What a sweep has found, as a Parquet data set: one row a point, schedule and replication, in files of some thousand rows."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet

from lifesim.comparison.measures import MEASURES
from lifesim.files import atomic_write
from lifesim.sweep.plan import Dimension, Point

DATASET = "sweep.parquet"
ROWS_PER_FILE = 4096


@dataclass(frozen=True, slots=True)
class Row:
    """The measures at a point under a schedule in one replication."""

    point: int
    schedule: str
    replication: int
    values: Point
    measures: dict[str, float | None]


def write(directory: Path, dimensions: Sequence[Dimension], rows: Iterable[Row]) -> None:
    """Write the rows, a file at a time, and remove files that an earlier sweep had more."""
    place, rows, written = directory / DATASET, iter(rows), set()
    while some := list(islice(rows, ROWS_PER_FILE)):
        name = f"part-{len(written):05d}.parquet"
        sink = io.BytesIO()
        pyarrow.parquet.write_table(_table(dimensions, some), sink, compression="zstd")
        atomic_write(place / name, sink.getvalue())
        written.add(name)
    for path in place.glob("part-*.parquet"):
        if path.name not in written:
            path.unlink()


def means(directory: Path, measure: str, points: int, schedules: Sequence[str]) -> np.ndarray:
    """Return the mean of a measure over the replications, [schedules, points]; NaN where there is none. One column at a time is read."""
    sums, counts = np.zeros((2, len(schedules), points))
    place = directory / DATASET
    if not any(place.glob("part-*.parquet")):
        return np.full((len(schedules), points), np.nan)
    for batch in pyarrow.dataset.dataset(place).to_batches(columns=["point", "schedule", measure]):
        values = batch.column(measure).to_numpy(zero_copy_only=False)
        known = ~np.isnan(values)
        labels = np.array(batch.column("schedule").to_pylist(), object)
        point = batch.column("point").to_numpy()
        for number, schedule in enumerate(schedules):
            of_schedule = known & (labels == schedule)
            np.add.at(sums[number], point[of_schedule], values[of_schedule])
            np.add.at(counts[number], point[of_schedule], 1.0)
    with np.errstate(invalid="ignore"):
        return sums / counts


def columns(dimensions: Sequence[Dimension]) -> Iterator[tuple[str, pa.DataType]]:
    """Give the columns with their types."""
    yield from (("point", pa.int64()), ("schedule", pa.string()), ("replication", pa.int64()))
    for dimension in dimensions:
        text = any(isinstance(value, str) for value in dimension.values)
        yield dimension.key, pa.string() if text else pa.float64()
    for measure in MEASURES:
        yield measure, pa.float64()


def _table(dimensions: Sequence[Dimension], rows: Sequence[Row]) -> pa.Table:
    contents: dict[str, list[Any]] = {
        "point": [row.point for row in rows],
        "schedule": [row.schedule for row in rows],
        "replication": [row.replication for row in rows],
        **{dimension.key: [row.values[i] for row in rows] for i, dimension in enumerate(dimensions)},
        **{measure: [row.measures[measure] for row in rows] for measure in MEASURES},
    }
    return pa.table({name: pa.array(contents[name], kind) for name, kind in columns(dimensions)})
