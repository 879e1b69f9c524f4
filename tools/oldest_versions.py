#!/usr/bin/env python3
"""Prints the oldest versions that the package claims, as pip takes them: torch==2.9.* ... (for make test-oldest)."""

import ast
import re
from pathlib import Path

source = Path(__file__).resolve().parents[1] / "slowfast" / "utils" / "environment.py"
oldest = ast.literal_eval(re.search(r"^OLDEST = (\{.+?\})$", source.read_text(), re.MULTILINE).group(1))
print(" ".join(f"{name}=={version}.*" for name, version in oldest.items()))
