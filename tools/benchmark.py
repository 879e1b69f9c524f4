#!/usr/bin/env python3
"""Time model steps, data loading and whole training on this machine (--help shows an example)."""

import sys

from slowfast.cli.benchmark import main

if __name__ == "__main__":
    sys.exit(main())
