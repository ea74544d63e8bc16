"""Make the README's picture: compare four schedules on quickstart, then draw what the comparison wrote.

    python analysis/quickstart_schedules.py

Results go to results/schedules/, the picture to docs/quickstart.png: of one fleet, without bands, unless more --replications are asked for.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCENARIO = ROOT / "scenarios" / "quickstart.toml"

# label in the picture, schedule
SCHEDULES = (
    ("weekly RRAMedy", "scenario"),
    ("weekly read-back", "readback{interval_s=7d,alarm_cells=20}"),
    ("180-day refresh", "blind_refresh:180d"),
    ("no tests", "never"),
)


def command(directory: Path, replications: int, workers: int) -> list[str]:
    """Return the command line that compares them."""
    forms = ",".join(f"{label}={form}" for label, form in SCHEDULES)
    compare = [sys.executable, "-m", "lifesim", "compare", str(SCENARIO), "--schedules", forms]
    return [*compare, "-o", str(directory), "--replications", str(replications), "--workers", str(workers)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "quickstart.png", metavar="PNG")
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "schedules", metavar="DIR")
    parser.add_argument(
        "--replications",
        type=int,
        default=1,
        metavar="R",
        help="fleets that each is tried on; several give bands",
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes")
    given = parser.parse_args()
    done = subprocess.run(command(given.results, given.replications, given.workers), cwd=ROOT, check=False)
    if done.returncode:
        return done.returncode
    from compare_schedules import over_time, save, table

    from lifesim.comparison.results import read_comparison

    comparison = read_comparison(given.results)
    save(over_time(comparison), given.output)
    print(table(comparison))
    print(f"Written to {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
