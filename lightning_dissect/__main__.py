"""``python -m lightning_dissect``."""

import sys

from lightning_dissect.cli import main

if __name__ == "__main__":
    sys.exit(main())
