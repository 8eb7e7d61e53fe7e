"""Calls that run while nobody waits: who asked for one sees how far it is, and has its result."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import secrets
import time
from collections.abc import Coroutine
from typing import Any, Literal

from restified_magics.core.progress import Progress
from restified_magics.isolated.isolated_call import Given
from restified_magics.rest.problems import Problem

__all__ = ["Job", "Jobs"]

State = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclasses.dataclass(eq=False)
class Job:
    """One call.

    Attributes:
        id: its name, which cannot be guessed.
        path: the notebook.
        owner: the user who may see it.
        state: how far it is.
        progress: how far its cells are, where that is known.
        given: the result, once it is done.
        problem: what went wrong, once it has failed.
        created: when it was asked for.
        ended: when it ended, by `time.monotonic`.
    """

    path: str
    owner: str
    id: str = dataclasses.field(default_factory=lambda: secrets.token_urlsafe(16))
    state: State = "queued"
    progress: Progress | None = None
    given: Given | None = None
    problem: Problem | None = None
    created: datetime.datetime = dataclasses.field(
        default_factory=lambda: datetime.datetime.now(datetime.UTC)
    )
    ended: float | None = None
    task: asyncio.Task[None] | None = None

    def described(self, url: str) -> dict[str, Any]:
        """What its owner sees of it, as JSON."""
        told: dict[str, Any] = {
            "id": self.id,
            "notebook": self.path,
            "state": self.state,
            "created": self.created.isoformat(timespec="milliseconds"),
            "url": url,
        }
        if self.progress is not None:
            told["progress"] = self.progress._asdict()
        if self.given is not None:
            told |= {"result": f"{url}/result", "media_type": self.given.media_type}
        if self.problem is not None:
            told["problem"] = self.problem.body(self.id)
        return told

    def heard(self, progress: Progress) -> None:
        """It tells how far it is."""
        self.progress = progress


class Jobs:
    """The jobs of a server.

    Args:
        most: how many are kept; those that have ended make room, the oldest first.
        kept: seconds that one is kept after it has ended.
        most_bytes: of all results that are kept; the oldest go first.
    """

    def __init__(self, most: int, kept: float, most_bytes: int = 512 << 20) -> None:
        self._most = most
        self._kept = kept
        self._most_bytes = most_bytes
        self._jobs: dict[str, Job] = {}

    def __len__(self) -> int:
        self._forget()
        return len(self._jobs)

    def begin(self, job: Job, work: Coroutine[Any, Any, Given]) -> Job:
        """Let a call run as a job.

        Raises:
            Problem: 503, there are too many.
        """
        self._forget()
        ended = [each for each in self._jobs.values() if each.ended is not None]
        for each in ended[: len(self._jobs) - self._most + 1]:  # the oldest make room
            del self._jobs[each.id]
        if len(self._jobs) >= self._most:
            work.close()
            raise Problem(
                503,
                f"{self._most} jobs wait or run already. Delete some, or wait until one has ended.",
                headers={"Retry-After": "30"},
            )
        self._jobs[job.id] = job
        job.task = asyncio.get_running_loop().create_task(self._run(job, work))
        return job

    async def _run(self, job: Job, work: Coroutine[Any, Any, Given]) -> None:
        try:
            job.given = await work
            job.state = "done"
            if job.progress is not None:
                job.progress = job.progress.completed()
        except asyncio.CancelledError:
            job.state = "cancelled"
        except Problem as problem:
            job.problem, job.state = problem, "failed"
        finally:
            job.ended = time.monotonic()
            self._forget()
            # its result may be large, and perhaps nobody asks for anything any more
            asyncio.get_running_loop().call_later(self._kept + 1, self._forget)

    def find(self, identity: str, owner: str) -> Job:
        """The job of this owner.

        Raises:
            Problem: 404, this owner has none of this name.
        """
        self._forget()
        job = self._jobs.get(identity)
        if job is None or job.owner != owner:
            raise Problem(404, "You have no such job, or it has expired.")
        return job

    def of(self, owner: str) -> list[Job]:
        """The jobs of this owner, the oldest first."""
        self._forget()
        return [job for job in self._jobs.values() if job.owner == owner]

    async def cancel(self, job: Job) -> None:
        """End a job, and forget it."""
        self._jobs.pop(job.id, None)
        await _ended([job])

    async def close(self) -> None:
        """End all of them."""
        jobs = list(self._jobs.values())
        self._jobs.clear()
        await _ended(jobs)

    def _forget(self) -> None:
        latest = time.monotonic() - self._kept
        for identity, job in list(self._jobs.items()):
            if job.ended is not None and job.ended < latest:
                del self._jobs[identity]
        size = sum(len(job.given.body) for job in self._jobs.values() if job.given is not None)
        for identity, job in list(self._jobs.items())[:-1]:  # the newest is what somebody waits for
            if size > self._most_bytes and job.given is not None:
                size -= len(job.given.body)
                del self._jobs[identity]


async def _ended(jobs: list[Job]) -> None:
    tasks = [job.task for job in jobs if job.task is not None]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
