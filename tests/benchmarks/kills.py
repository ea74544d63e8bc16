"""``python -m tests.benchmarks.kills``: a run killed twenty times at random moments and resumed each time, against one that was not.

Moments are uniform over the time that the uninterrupted run took, from the start of each process: some kills come while it is importing, some in the middle
of a record, some while tables are written. When the run has finished before its twentieth kill, the next begins another directory.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from lifesim.experiment.directory import JOURNAL
from lifesim.experiment.results import FILES
from lifesim.streams import generator, stream_key

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "scenarios" / "quickstart.toml"
CHANGES = (
    "group.cameras.count=3",
    "horizon_s=3 y",
    "group.cameras.site.mean_c=65",
    "cloud.retraining.steps=50",
)


def contents(directory: Path) -> dict[str, bytes]:
    """Return the files that depend on the scenario alone."""
    return {name: (directory / name).read_bytes() for name in FILES if name != "manifest.json"}


def main(
    kills: Annotated[int, typer.Option(min=1)] = 20,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Kill, resume and compare; exit status 1 if any file differs."""
    command = [
        sys.executable,
        "-m",
        "lifesim",
        "run",
        str(SCENARIO),
        "--quiet",
        "--workers",
        str(workers),
        "--resume",
    ]
    command += [f"--set={change}" for change in CHANGES]
    rng = generator(stream_key("kills", seed))
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        start = time.monotonic()
        subprocess.run([*command, "-o", str(whole)], cwd=ROOT, check=True)
        took_s = time.monotonic() - start
        done = compared = 0
        journals: list[int] = []
        while done < kills:
            where = Path(name) / "killed"
            while done < kills:
                process = subprocess.Popen([*command, "-o", str(where)], cwd=ROOT, start_new_session=True)
                try:
                    process.wait(float(rng.random()) * took_s)
                    if done:
                        break  # it was quicker
                    shutil.rmtree(where)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    done += 1
                    journal = where / JOURNAL
                    journals.append(journal.stat().st_size if journal.exists() else 0)
            start = time.monotonic()
            subprocess.run([*command, "-o", str(where)], cwd=ROOT, check=True)
            last_s = time.monotonic() - start
            took_s = min(took_s, max(last_s, took_s / 2))  # the first run was slow: nothing had been compiled
            left = sorted(path.name for path in where.iterdir())
            if contents(where) != contents(whole) or left != sorted(FILES):
                print(f"after {done} kills: the files differ ({', '.join(left)})")
                raise typer.Exit(1)
            compared += 1
            print(
                f"after {done} kills: the same bytes; the last resumption took {last_s:.1f} s of {took_s:.1f} s"
            )
            shutil.rmtree(where)
    print(
        f"{kills} kills, {compared} finished runs compared; journals of {min(journals):,} to {max(journals):,} bytes at the kills"
    )


if __name__ == "__main__":
    typer.run(main)
