"""What a run says at its end: every claim of the paper that it has looked at, beside its own numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_ABOUT = ("network", "cells", "condition", "theta", "permanent_rate", "examples", "choice", "pictures")
_AS_GIVEN = ("network", "cells", "condition", "examples", "choice")


def claims_text(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return a line for each number that the paper states: where, about what, the paper's, ours with its interval, the verdict."""
    lines = []
    for item, rows in found.items():
        for row in rows:
            if not row["verdict"] or item == "readings":
                continue
            interval = "" if row["low"] == row["high"] else f" ({row['low']:.4g} to {row['high']:.4g})"
            lines.append(
                (item, _about(row), f"{row['paper']:.4g}", f"{row['ours']:.4g}{interval}", row["verdict"])
            )
    head = ("", "what", "paper", "ours (95 %)", "verdict")
    table = [head, *lines]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def _about(row: Mapping[str, Any]) -> str:
    parts = [row["measure"] if row["measure"] != "detected" else ""]
    for key in _ABOUT:
        value = row.get(key)
        if value not in (None, "", 0.0):
            parts.append(str(value) if key in _AS_GIVEN else f"{key} {value:g}")
    return ", ".join(part for part in parts if part)
