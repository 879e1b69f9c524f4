#!/usr/bin/env python3
"""Collects wheels for a machine without a network that has torch and torchvision already (for make wheels).

    tools/collect_wheels.py wheels --python 3.12 --platform manylinux_2_28_x86_64

Everything else that slowfast requires goes into the folder, with pytest, for that Python and platform, whatever runs
here. Packages that are published as source alone are pure Python, and are built into wheels here. What torch and
torchvision bring themselves (NumPy, Pillow and theirs) is left out.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
THERE_ALREADY = {"torch", "torchvision", "numpy", "pillow"}
TO_TEST = ("pytest",)
SOURCE_ONLY = ("fvcore", "iopath")  # no wheels on PyPI


def main() -> int:
    """Fill the folder and list it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the wheels go")
    parser.add_argument("--python", default="3.12", metavar="X.Y", help="of that machine (default %(default)s)")
    parser.add_argument(
        "--platform",
        nargs="+",
        default=["manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"],
        help="of that machine, as pip calls it (default %(default)s)",
    )
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in requirements() if base_name(name) not in THERE_ALREADY]
    built = [name for name in names if base_name(name) in SOURCE_ONLY]
    pip("wheel", "--no-deps", "--wheel-dir", args.folder, *built)
    platforms = [part for name in args.platform for part in ("--platform", name)]
    target = ["--python-version", args.python, "--only-binary", ":all:", *platforms]
    pip("download", "--dest", args.folder, "--find-links", args.folder, *target, *names, *TO_TEST)
    for path in sorted(args.folder.glob("*.whl")):
        if base_name(path.name.replace("-", " ", 1)) in THERE_ALREADY:
            path.unlink()
    wheels = sorted(args.folder.glob("*.whl"))
    size = sum(path.stat().st_size for path in wheels) / 2**20
    print(f"{args.folder}: {len(wheels)} wheels, {size:.0f} MiB, for Python {args.python}")
    return 0


def requirements() -> list[str]:
    """What setup.py requires, read without importing it; versions that it computes are those of OLDEST."""
    environment = (ROOT / "slowfast" / "utils" / "environment.py").read_text(encoding="utf-8")
    oldest = ast.literal_eval(re.search(r"^OLDEST = (\{.+?\})$", environment, re.MULTILINE).group(1))
    for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "REQUIRED":
            return list(eval(compile(ast.Expression(node.value), "setup.py", "eval"), {"OLDEST": oldest}))
    raise SystemExit("setup.py has no list REQUIRED.")


def base_name(requirement: str) -> str:
    """ "torch" of "torch>=2.6"."""
    return re.split(r"[ <>=!~;\[]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def pip(*arguments: object) -> None:
    """Run pip; its own words end this program where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)], check=False
    )
    if done.returncode:
        raise SystemExit(done.returncode)


if __name__ == "__main__":
    sys.exit(main())
