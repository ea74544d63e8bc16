"""A bar that shows how far long work is, or lines where nobody looks at a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[float, str], None] | None]:
    """Give a function of (share done, what is done) that draws a bar (off a terminal: prints lines)."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("starting", total=1.0)
            yield lambda share, doing: bar.update(task, completed=share, description=doing)
    else:
        printed = -1

        def print_every_tenth(share: float, doing: str) -> None:
            nonlocal printed
            if int(share * 10) > printed:
                printed = int(share * 10)
                print(f"{share:4.0%} {doing}", file=sys.stderr, flush=True)

        yield print_every_tenth
