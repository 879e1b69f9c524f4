#!/usr/bin/env python3
"""Train and test configs with several seeds, into one table (--help shows examples)."""

import sys

from slowfast.cli.ablate import main

if __name__ == "__main__":
    sys.exit(main())
