"""The web application: a page, and the JSON API behind it (docs/SERVE.md).

No response contains a path of this machine: videos are called by the names that their senders gave them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.middleware.trustedhost import TrustedHostMiddleware

from slowfast.serving.analysis import OVERLAY, Analyst, Video
from slowfast.serving.jobs import Job, JobError, JobQueue, QueueFullError
from slowfast.serving.uploads import FORM_BYTES, BodyLimit, check_announced, save_upload

PAGE = Path(__file__).with_name("page")
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Limits:
    """The limits of the server.

    Attributes:
        max_bytes: of an upload.
        max_seconds: of a video.
        num_workers: videos processed at a time.
        max_waiting: videos that may wait in the queue.
        keep_seconds: how long results and overlays are kept.
    """

    max_bytes: int = 256 * 10**6
    max_seconds: float = 600.0
    num_workers: int = 1
    max_waiting: int = 8
    keep_seconds: float = 600.0


def build_app(
    analyst: Analyst,
    *,
    title: str = "",
    samples: Sequence[Video] = (),
    limits: Limits | None = None,
    hosts: Sequence[str] = LOCAL_HOSTS,
) -> FastAPI:
    """The application.

    Args:
        title: of the model, on the page.
        samples: videos to choose from on the page.
        hosts: host names that this server accepts (``*`` for any): a page under another name that resolves to this
            machine gets nothing.
    """
    limits = limits or Limits(max_seconds=analyst.max_seconds)
    server = _Server(analyst, title=title, samples=samples, limits=limits)
    app = FastAPI(title="slowfast serve", docs_url=None, redoc_url=None, openapi_url=None, lifespan=server.lifespan)
    app.add_middleware(BodyLimit, max_bytes=limits.max_bytes + FORM_BYTES)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.middleware("http")(_guard)
    app.exception_handler(JobError)(_refuse)
    app.exception_handler(QueueFullError)(_busy)
    app.state.server = server
    for method, path, function in (
        ("GET", "/", server.page),
        ("GET", "/api/model", server.model),
        ("POST", "/predict", server.predict),
        ("POST", "/jobs", server.start),
        ("GET", "/jobs/{job_id}", server.job),
        ("DELETE", "/jobs/{job_id}", server.drop),
        ("GET", "/jobs/{job_id}/overlay.mp4", server.overlay),
        ("GET", "/samples/{index}", server.sample),
    ):
        app.add_api_route(path, function, methods=[method], response_model=None)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app


async def _guard(request: Request, call_next: Callable[[Request], Any]) -> Response:
    """Refuse requests from other sites' pages, and set the headers that restrict the use of responses."""
    origin = request.headers.get("origin")
    if origin and origin != "null" and urlsplit(origin).netloc != request.headers.get("host"):
        return JSONResponse({"detail": f"requests of {origin} are not answered here."}, 403)
    response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, JobError)
    return JSONResponse({"detail": str(error)}, error.status)


async def _busy(_request: Request, _error: Exception) -> JSONResponse:
    message = "too many videos are already waiting: try again in a minute."
    return JSONResponse({"detail": message}, 503, headers={"Retry-After": "60"})


class _Server:
    """The endpoints and what they share."""

    def __init__(self, analyst: Analyst, *, title: str, samples: Sequence[Video], limits: Limits):
        self.analyst, self.title, self.samples, self.limits = analyst, title, list(samples), limits
        self._queue: JobQueue | None = None

    @property
    def queue(self) -> JobQueue:
        assert self._queue is not None, "the server has not started"
        return self._queue

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: FastAPI):
        """Jobs and their files exist as long as the server."""
        self._queue = JobQueue(
            Path(tempfile.mkdtemp(prefix="slowfast-serve-")),
            num_workers=self.limits.num_workers,
            max_waiting=self.limits.max_waiting,
            keep_seconds=self.limits.keep_seconds,
        )
        forgetting = asyncio.create_task(self._forget())
        try:
            yield
        finally:
            forgetting.cancel()
            await asyncio.to_thread(self.queue.close)

    async def _forget(self) -> None:
        while True:
            await asyncio.sleep(min(30.0, self.limits.keep_seconds))
            await asyncio.to_thread(self.queue.forget_old)

    async def page(self) -> Response:
        return FileResponse(PAGE / "index.html")

    async def model(self) -> dict[str, Any]:
        """What the page needs to know."""
        names = self.analyst.pipeline.class_names
        return {
            "title": self.title,
            "protocol": self.analyst.pipeline.protocol.describe(),
            "num_classes": None if names is None else len(names),
            "boxes": self.analyst.of_boxes,
            "explains": self.analyst.explain is not None,
            "samples": [video.name for video in self.samples],
            "max_megabytes": self.limits.max_bytes / 1e6,
            "max_seconds": self.limits.max_seconds,
        }

    async def predict(self, request: Request) -> dict[str, Any]:
        """The entry of ``videos`` of ``slowfast predict --json``; responds when the video is done."""
        job = await self._enqueue(request, lambda video, job: self.analyst.record(video))
        try:
            await asyncio.wrap_future(job.future)  # type: ignore[arg-type]  # set by the queue
        finally:
            await asyncio.to_thread(self.queue.remove, job)
        if job.error:
            raise JobError(*job.error)
        return job.result

    async def start(self, request: Request) -> JSONResponse:
        """``{"id"}`` of a job for the page."""
        explains = request.query_params.get("explain") == "1"

        def work(video: Video, job: Job) -> Any:
            return self.analyst.analyze(video, explain_into=job.folder if explains else None, report=job.report)

        job = await self._enqueue(request, work)
        return JSONResponse({"id": job.id}, 202)

    async def _enqueue(self, request: Request, work: Callable[[Video, Job], Any]) -> Job:
        """A job for the video that a request sends, or the sample that it names.

        Raises:
            JobError, QueueFullError: it is refused, and nothing of it is kept.
        """
        check_announced(request, self.limits.max_bytes + FORM_BYTES)
        if self.queue.is_full:
            raise QueueFullError
        folder = self.queue.new_folder()
        try:
            async with request.form(max_files=1, max_fields=4) as form:
                picked = form.get("sample")
                if isinstance(picked, str):
                    video = self._sample(picked)
                else:
                    video = await save_upload(form.get("video"), folder, max_bytes=self.limits.max_bytes)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return self.queue.add(folder, functools.partial(work, video))

    def _sample(self, number: str) -> Video:
        if not number.isdecimal() or int(number) >= len(self.samples):
            raise JobError(404, "there is no such sample.")
        return self.samples[int(number)]

    def _job(self, job_id: str) -> Job:
        job = self.queue.get(job_id)
        if job is None:
            raise JobError(404, "there is no such job: results are kept only for some minutes.")
        return job

    async def job(self, job_id: str) -> dict[str, Any]:
        """State, place in the queue, progress, and the result or the error of a job."""
        job = self._job(job_id)
        told: dict[str, Any] = {"state": job.state, "step": job.step, "progress": round(job.progress, 3)}
        told["before"] = self.queue.num_before(job) if job.state == "queued" else 0
        if job.state == "done":
            told["result"] = job.result
        elif job.error:
            told["error"] = {"status": job.error[0], "detail": job.error[1]}
        return told

    async def drop(self, job_id: str) -> dict[str, Any]:
        """End a job and forget it."""
        await asyncio.to_thread(self.queue.remove, self._job(job_id))
        return {"removed": True}

    async def overlay(self, job_id: str) -> Response:
        job = self._job(job_id)
        path = job.folder / OVERLAY
        if job.state != "done" or not path.is_file():
            raise JobError(404, "this job has no overlay.")
        return FileResponse(path, media_type="video/mp4")

    async def sample(self, index: str) -> Response:
        return FileResponse(self._sample(index).path, content_disposition_type="inline")
