#!/usr/bin/env python3
"""Parameters, GFLOPs, memory and shapes of a config's model (--help shows an example)."""

import sys

from slowfast.cli.info import main

if __name__ == "__main__":
    sys.exit(main())
