"""A headless Chromium, where there is one: what a page comes to, and what it complains of."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
WHY_NOT = "no chromium, chromium-browser or google-chrome on the path (Debian: apt-get install chromium)"


def load(page: Path, profile: Path, *flags: str, size: str = "1280,900") -> tuple[str, list[str]]:
    """Return the page's elements after its scripts have run, and what it wrote to the console. ``profile``: a new folder for the browser."""
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage",
        f"--user-data-dir={profile}", f"--window-size={size}", "--enable-logging=stderr", "--virtual-time-budget=20000", *flags, "--dump-dom",
        page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
