"""The floors of the house: imports point downwards, torch and SimPy stay where they belong."""

import subprocess
import sys
from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]


def test_imports_point_downwards():
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_only_running_needs_torch():
    """Validating, reading presets and reading results must be quick."""
    code = (
        "import sys, lifesim, lifesim.cli, lifesim.scenario.load, lifesim.fleet.outlook, lifesim.experiment.results\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
