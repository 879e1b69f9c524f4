#!/usr/bin/env python3
"""Write a model as a torch.export program and as ONNX (--help shows examples)."""

import sys

from slowfast.cli.export import main

if __name__ == "__main__":
    sys.exit(main())
