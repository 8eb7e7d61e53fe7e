"""What the handlers find in the settings of the application: the service and its limits, as configured."""

from __future__ import annotations

import glob
import sys
from typing import TYPE_CHECKING, Any

from restified_magics.rest import metrics
from restified_magics.rest.dask_calls import DaskCalls
from restified_magics.rest.failed_runs import FailedRuns
from restified_magics.rest.handlers import MAX_BODY, MAX_CONTAINERS, MAX_VALUES
from restified_magics.rest.jobs import Jobs
from restified_magics.rest.problems import Shown
from restified_magics.rest.request_values import DEEPEST
from restified_magics.rest.rest_handler import SERVICE
from restified_magics.rest.served import ServedNotebooks
from restified_magics.rest.service import CallService, Limits

if TYPE_CHECKING:
    from restified_magics.rest.server import RestifiedApp

__all__ = ["settings_of"]


def settings_of(app: RestifiedApp) -> dict[str, Any]:
    """The settings, with a service that is ready to make calls.

    Args:
        app: the extension, configured and linked to its server.
    """
    # to hand over a value, pickle (of Python 3.11) calls itself twice for each list in a list
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 4 * DEEPEST))
    service = _service(app)
    metrics.RUNNING.set_function(lambda: service.running)
    metrics.WAITING.set_function(lambda: service.waiting)
    if app.warm:
        service.warm()
    return {
        SERVICE: service,
        MAX_BODY: app.max_body_bytes,
        MAX_CONTAINERS: app.max_containers,
        MAX_VALUES: app.max_values,
    }


def _service(app: RestifiedApp) -> CallService:
    refused = [*app.refused]
    if app.failed_runs_dir:
        refused.append(f"{glob.escape(app.failed_runs_dir.strip('/'))}/*")
    notebooks = ServedNotebooks(app.serverapp.contents_manager, app.allowed, refused)
    failed = None
    if app.failed_runs_dir:
        failed = FailedRuns(
            notebooks.root, app.failed_runs_dir, most=app.max_failed_runs, days=app.failed_runs_days
        )
    limits = Limits(
        concurrency=app.concurrency,
        queue=app.queue,
        timeout=app.timeout or None,
        max_result=app.max_result_bytes,
        max_output=app.max_output_characters,
        max_memory=app.max_memory_bytes,
        max_listed=app.max_listed,
    )
    return CallService(
        notebooks,
        limits,
        engine=app.engine,
        preload=tuple(app.preload),
        shown=Shown(app.show_messages, app.show_tracebacks),
        failed=failed,
        jobs=Jobs(app.max_jobs, app.job_seconds),
        dask=DaskCalls(app.dask_scheduler) if app.dask_scheduler else None,
        log=app.log,
    )
