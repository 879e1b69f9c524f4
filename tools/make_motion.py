#!/usr/bin/env python3
"""Write the Motion data set (--help shows examples)."""

import sys

from slowfast.cli.motion import main

if __name__ == "__main__":
    sys.exit(main())
