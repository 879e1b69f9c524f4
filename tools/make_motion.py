"""Writes the Motion data set. See ``python tools/make_motion.py --help``."""

import sys

from slowfast.cli.motion import main

if __name__ == "__main__":
    sys.exit(main())
