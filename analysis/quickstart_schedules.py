"""Make the README's picture: run quickstart under four schedules, then compare what the runs wrote.

    python analysis/quickstart_schedules.py

Takes three times as long as quickstart alone. Results go to results/schedules/<schedule>/, the picture to
docs/quickstart.png.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCENARIO = ROOT / "scenarios" / "quickstart.toml"

# label in the picture, directory, schedule (None: the scenario's own)
SCHEDULES = (
    ("weekly RRAMedy", "periodic", None),
    ("weekly read-back", "readback", '{kind = "readback", interval_s = "7 d", alarm_cells = 20}'),
    ("180-day refresh", "blind_refresh", '{kind = "blind_refresh", interval_s = "180 d"}'),
    ("no tests", "never", '{kind = "never"}'),
)


def command(directory: Path, schedule: str | None, workers: int) -> list[str]:
    """Return the command line that runs quickstart under a schedule."""
    override = [] if schedule is None else ["--set", f"group.cameras.schedule={schedule}"]
    lifesim = [sys.executable, "-m", "lifesim", "run", str(SCENARIO), "-o", str(directory), "--force"]
    return [*lifesim, "--workers", str(workers), *override]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "quickstart.png", metavar="PNG")
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "schedules", metavar="DIR")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes a run uses")
    given = parser.parse_args()
    for label, name, schedule in SCHEDULES:
        print(f"== {label}", flush=True)
        if status := subprocess.run(
            command(given.results / name, schedule, given.workers), cwd=ROOT
        ).returncode:
            return status
    runs = [f"{label}={given.results / name}" for label, name, _ in SCHEDULES]
    compare = [
        sys.executable,
        str(ROOT / "analysis" / "compare_schedules.py"),
        "-o",
        str(given.output),
        *runs,
    ]
    return subprocess.run(compare, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
