"""Package of slowfast. The recipes in configs/ travel inside it, as slowfast.configs."""

import ast
import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = re.search(r'__version__ = "(.+?)"', (ROOT / "slowfast" / "__init__.py").read_text()).group(1)
README = ROOT / "README.md"
# {name: oldest version}, as the package itself knows it; read without importing, for torch may not be there yet.
ENVIRONMENT = (ROOT / "slowfast" / "utils" / "environment.py").read_text()
OLDEST = ast.literal_eval(re.search(r"^OLDEST = (\{.+?\})$", ENVIRONMENT, re.MULTILINE).group(1))

REQUIRED = [
    f"torch>={OLDEST['torch']}",  # the networks and their training
    f"torchvision>={OLDEST['torchvision']}",  # RoIAlign and image operations; the release that belongs to that torch
    "numpy",  # random numbers of a sample, and arrays of scores
    f"av>={OLDEST['av']}",  # PyAV: reads and writes videos, with FFmpeg in its wheel; 16 takes BT.709 for BT.601
    "fvcore",  # the config node
    "iopath",  # weights by URL, through its cache
    "simplejson",  # log records with NaN written as null, which is JSON
    "pyyaml",  # recipes
    "pillow",  # frames that lie in folders as images
    "tqdm",  # progress bar on a terminal
    "tensorboard",  # scalars of a run
]
EXTRAS = {
    "plot": ["matplotlib"],  # the demo's plot and pictures
    "camera": ["opencv-python"],  # reads cameras and draws the window of slowfast predict --show
    "flow": ["opencv-python-headless"],  # optical flow for the Fast pathway (FLOW.METHOD dis, farneback)
    "slurm": ["submitit"],  # slowfast submit: jobs of Slurm that are queued again
    # 36 MB together, 112 MB installed; a model is also exported with torch alone (--format torch)
    "export": [
        "onnx",  # the file format
        "onnxscript",  # torch.onnx builds its operators with it
        "onnxruntime",  # runs the file, to check it
    ],
    "serve": [
        "fastapi",  # the page and the JSON API of `slowfast serve`
        "uvicorn",  # answers HTTP for it
        "python-multipart",  # reads uploads
    ],
    "dev": [
        "fastapi",  # the server is tested
        "uvicorn",
        "python-multipart",
        "httpx",  # starlette's test client
        "onnx",  # exported models are checked in the tests
        "onnxscript",
        "onnxruntime",
        "matplotlib",  # tests draw too
        "opencv-python-headless",  # and compute flow
        "submitit",  # and jobs submitted, to its local executor
        "pytest",  # make test
        "pytest-xdist",  # on all cores
        "ruff",  # make lint
        "mypy",
        "types-PyYAML",
        "build",  # wheels
        "setuptools>=64",  # the test that builds a wheel does so without a network
        "wheel",
    ],
}

setup(
    name="slowfast",
    version=VERSION,
    description="SlowFast networks for video recognition, in today's PyTorch",
    long_description=README.read_text(encoding="utf-8") if README.is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    install_requires=REQUIRED,
    extras_require=EXTRAS,
    packages=[*find_packages(include=["slowfast", "slowfast.*"]), "slowfast.configs"],
    package_dir={"slowfast.configs": "configs"},
    package_data={
        "slowfast": ["py.typed", "models/weights/*.json", "visualization/report/page.*", "serving/page/*"],
        "slowfast.configs": ["**/*.yaml"],
    },
    entry_points={"console_scripts": ["slowfast = slowfast.cli.main:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
