"""``slowfast serve``: a model behind a local page and a JSON API."""

from __future__ import annotations

import argparse
import importlib.util
import os
import socket
import sys
from pathlib import Path

from slowfast.cli.arguments import Parser, command, command_parser, positive, whole
from slowfast.cli.pipelines import add_detector, add_model, detected_boxes, load_model
from slowfast.engine.launch import LaunchError
from slowfast.preparation.files import find_files
from slowfast.utils.logging import setup_logging

DESCRIPTION = (
    "Serve a web page: drop a video on it to see it play with its classes below. Programs call POST /predict. The "
    "server answers only on this machine unless --host says otherwise."
)
EXAMPLE = """
slowfast serve --checkpoint outputs/mine/checkpoints/best.pyth --samples videos
curl -F video=@video.mp4 http://127.0.0.1:8000/predict
"""
NOTES = "docs/SERVE.md in the repository describes the API and the limits."
MOST_SAMPLES = 200
NEEDED = ("fastapi", "uvicorn", "python_multipart")
LOCAL = ("127.0.0.1", "localhost", "::1")


def build_parser() -> Parser:
    """The command line."""
    parser = command_parser("serve", description=DESCRIPTION, example=EXAMPLE, takes_overrides=True, notes=NOTES)
    add_model(parser)
    parser.option("--host NAME", "address to listen on", default="127.0.0.1")
    parser.option("--port N", "port (default 8000; 0: any free port)", type=whole(0, 65535), default=8000)
    parser.option("--samples DIR", "folder of videos to choose from on the page", type=Path)
    parser.option("--max-megabytes N", "largest upload", type=positive, default=256.0)
    parser.option("--max-seconds S", "longest video", type=positive, default=600.0)
    parser.option("--max-jobs N", "videos processed at a time", type=whole(1), default=1)
    parser.option("--max-waiting N", "videos waiting in the queue", type=whole(0), default=8)
    add_detector(parser)
    return parser


def check_installed() -> None:
    """Check that the packages of the extra are there.

    Raises:
        ValueError: they are not; says how to get them.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"`slowfast serve` needs {', '.join(missing)}: pip install 'slowfast[serve]'.")


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        LaunchError: the port is taken, or the address does not belong to this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen()  # who comes before the server accepts waits, and is not refused
    except OSError as error:
        bound.close()
        what = f"cannot listen on {host}:{port}: {error.strerror}"
        raise LaunchError(f"{what}. Choose another --port or --host.") from None
    return bound


def find_samples(folder: Path | None) -> list:
    """The videos of a folder, named by their path in it."""
    from slowfast.serving.analysis import Video

    if folder is None:
        return []
    names = find_files(folder)[0][:MOST_SAMPLES]
    return [Video(folder.resolve() / name, name, is_ours=True) for name in names]


def build_server(args: argparse.Namespace):
    """The application that the command line describes."""
    from slowfast.serving.analysis import Analyst
    from slowfast.serving.app import LOCAL_HOSTS, Limits, build_app
    from slowfast.serving.evidence import Evidence

    pipeline = load_model(args)
    boxes = detected_boxes(args, pipeline) if args.detector else None
    explain = None if boxes else Evidence(pipeline)
    analyst = Analyst(pipeline, boxes=boxes, explain=explain, max_seconds=args.max_seconds)
    limits = Limits(
        max_bytes=int(args.max_megabytes * 1e6),
        max_seconds=args.max_seconds,
        num_workers=args.max_jobs,
        max_waiting=args.max_waiting,
    )
    title = os.path.basename(args.checkpoint or args.cfg)
    hosts = LOCAL_HOSTS if args.host in LOCAL else ("*",)
    return build_app(analyst, title=title, samples=find_samples(args.samples), limits=limits, hosts=hosts)


@command(build_parser)
def main(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    check_installed()
    import uvicorn

    setup_logging()
    with bound_socket(args.host, args.port) as bound:
        app = build_server(args)
        shown = f"[{args.host}]" if ":" in args.host else args.host
        print(f"http://{shown}:{bound.getsockname()[1]} (Ctrl-C ends it)", flush=True)
        if args.host not in LOCAL:
            print("anyone who can reach this address may use it: there is no password.", file=sys.stderr, flush=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[bound])
    return 0
