#!/usr/bin/env python3
"""Write weights in PySlowFast's naming or ours (--help shows examples)."""

import sys

from slowfast.cli.convert import main

if __name__ == "__main__":
    sys.exit(main())
