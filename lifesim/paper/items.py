"""The tables and figures by name."""

from __future__ import annotations

from lifesim.errors import UserError, did_you_mean

ITEMS = {
    "table1": "accuracy of the three networks",
    "table3": "speed-up of one test picture over March C-",
    "fig5": "deviation of confidences on a slightly faulty LeNet",
    "fig7": "detection, one-bit cells: stuck, flipped, both",
    "fig8": "detection, two-bit cells: stuck",
    "fig9": "detection, two-bit cells: drifted (Eq. 8)",
    "fig10": "detection, two-bit cells: both",
    "fig11": "accuracy before and after retraining",
    "false_alarms": "networks without faults that are accused: the column that the paper lacks",
    "readings": "detection under other readings of the fault model",
}
"""Name of each CSV -> what is in it."""


def chosen_items(only: str | None) -> list[str]:
    """Return the items of a comma-separated list, all for None, in the order of :data:`ITEMS`. Raises UserError for an unknown one."""
    if only is None:
        return list(ITEMS)
    names = [name.strip() for name in only.split(",")]
    for name in names:
        if name not in ITEMS:
            raise UserError(
                f"--only {only}: no item {name!r}; allowed: {', '.join(ITEMS)}{did_you_mean(name, ITEMS)}"
            )
    return [name for name in ITEMS if name in names]
