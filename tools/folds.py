#!/usr/bin/env python3
"""Average the figures of tests on the splits of UCF101 or HMDB51 (--help shows examples)."""

import sys

from slowfast.cli.folds import main

if __name__ == "__main__":
    sys.exit(main())
