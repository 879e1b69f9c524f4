#!/usr/bin/env python3
"""Train and test what a config describes (--help shows examples)."""

import sys

from slowfast.cli.run import main

if __name__ == "__main__":
    sys.exit(main())
