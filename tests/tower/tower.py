#!/usr/bin/python3
"""The Tower simulator as a program; see cli.py."""

import os
import sys

# This file's own directory would let `tower` mean this file instead of the package.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from tower.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
