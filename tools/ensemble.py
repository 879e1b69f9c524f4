#!/usr/bin/env python3
"""Average the scores of several tests of the same videos (--help shows examples)."""

import sys

from slowfast.cli.ensemble import main

if __name__ == "__main__":
    sys.exit(main())
