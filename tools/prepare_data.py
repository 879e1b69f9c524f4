#!/usr/bin/env python3
"""Lists, checks, smaller copies, frames and person boxes of videos (--help shows the commands)."""

import sys

from slowfast.cli.prepare.main import main

if __name__ == "__main__":
    sys.exit(main())
