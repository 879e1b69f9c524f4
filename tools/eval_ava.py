#!/usr/bin/env python3
"""Frame mAP of AVA detection files and their ensembles (--help shows examples)."""

import sys

from slowfast.cli.eval_ava import main

if __name__ == "__main__":
    sys.exit(main())
