"""``python -m lifesim``: the same as the command ``lifesim``."""

import sys

from lifesim.cli import main

if __name__ == "__main__":
    sys.exit(main())
