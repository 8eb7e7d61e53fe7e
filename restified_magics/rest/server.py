"""The Jupyter Server extension, and what of it can be configured."""

from __future__ import annotations

import os
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Enum, Float, Int, List, TraitError, Unicode, validate

__all__ = ["RestifiedApp", "main"]


class RestifiedApp(ExtensionApp):  # type: ignore[misc]
    """Notebooks as REST endpoints: GET or POST /restified/path/to/notebook.ipynb."""

    name = "restified"
    description = __doc__
    extension_url = "/restified/"
    load_other_extensions = False  # when it is started by itself, the endpoints are all there is

    allowed = List(
        Unicode(),
        ["*"],
        help="Patterns of the paths that may be called, e.g. models/*. A * spans folders, too.",
    ).tag(config=True)
    refused = List(Unicode(), help="Patterns of paths that may not be called though they are allowed.").tag(
        config=True
    )
    engine = Enum(
        ["auto", "python", "kernel"],
        "auto",
        help="auto: a notebook for this Python runs in a process forked from it, any other in a Jupyter "
        "kernel. python, kernel: always that.",
    ).tag(config=True)
    concurrency = Int(
        max(2, os.cpu_count() or 1), min=1, help="How many calls run at once. By default one a processor."
    ).tag(config=True)
    queue = Int(100, min=0, help="How many more calls may wait; further ones are answered by 503.").tag(
        config=True
    )
    timeout = Float(300.0, min=0, help="Seconds that a call may take; 0 is without limit.").tag(config=True)
    preload = List(
        Unicode(),
        help="Packages that processes have imported when they begin, e.g. numpy, pandas. Calls that import "
        "them become faster by as much as their import takes.",
    ).tag(config=True)
    max_body_bytes = Int(4 << 20, min=1, help="Bytes that the body of a request may have.").tag(config=True)
    max_containers = Int(
        250_000,
        min=1,
        help="Lists and objects that the body of a request may have. While millions of them are read, the "
        "server answers nobody.",
    ).tag(config=True)
    max_values = Int(200, min=1, help="How many values the query of a URL may have.").tag(config=True)
    max_result_bytes = Int(128 << 20, min=1, help="Bytes that the answer to a call may have.").tag(
        config=True
    )
    max_output_characters = Int(
        4 << 20, min=0, help="Characters of outputs that the notebook of a failed call may have."
    ).tag(config=True)
    max_memory_bytes = Int(
        0,
        min=0,
        help="Bytes of address space that the isolated process of a call may use; 0 is without limit. "
        "Kernels are not limited.",
    ).tag(config=True)
    show_messages = Bool(
        False, help="Tell callers the message of an exception in a cell. It may hold secrets of the notebook."
    ).tag(config=True)
    show_tracebacks = Bool(False, help="Tell callers its traceback, too.").tag(config=True)
    failed_runs_dir = Unicode(
        "",
        help="Folder, below that of the server, where failed calls are kept as notebooks, to open and debug; "
        "empty: they are not kept.",
    ).tag(config=True)
    max_failed_runs = Int(50, min=1, help="How many failed calls are kept; the oldest go first.").tag(
        config=True
    )
    failed_runs_days = Float(7.0, min=0, help="Days that a failed call is kept.").tag(config=True)
    max_jobs = Int(100, min=1, help="How many jobs (Prefer: respond-async) there may be at once.").tag(
        config=True
    )
    job_seconds = Float(3600.0, min=0, help="Seconds that a job is kept after it has ended.").tag(config=True)
    max_listed = Int(
        10_000, min=1, help="How many notebooks are looked at for a list of Models; all can be called."
    ).tag(config=True)
    warm = Bool(False, help="Start processes when the server starts, not when the first call comes.").tag(
        config=True
    )
    dask_scheduler = Unicode(
        "", help="Address of a Dask scheduler, e.g. tcp://10.0.0.5:8786: calls run on its workers."
    ).tag(config=True)

    @validate("allowed", "refused")  # type: ignore[untyped-decorator]
    def _check_patterns(self, proposal: Any) -> Any:
        for pattern in proposal["value"]:
            if pattern.startswith("[") and pattern.endswith("]") and pattern[1:2] in ("'", '"'):
                name = proposal["trait"].name
                raise TraitError(
                    f"{name}: {pattern} is a list, where one pattern is wanted. On the command line write "
                    f"--RestifiedApp.{name}=PATTERN once for each"
                )
        return proposal["value"]

    def initialize_settings(self) -> None:
        """Make the service."""
        if not self._linked:  # Jupyter goes on with the defaults, where all that was forbidden is allowed
            raise RuntimeError("RestifiedApp is misconfigured, as the log says above: nothing is served")
        # here, since Jupyter imports this module also to list its extensions
        from restified_magics.rest.settings import settings_of

        self.settings.update(settings_of(self))

    def initialize_handlers(self) -> None:
        """Add the routes."""
        from restified_magics.rest.handlers import handlers  # as above

        self.handlers.extend(handlers())

    async def stop_extension(self) -> None:
        """End all calls."""
        from restified_magics.rest.rest_handler import SERVICE  # as above

        service: Any = self.settings.get(SERVICE)
        if service is not None:
            await service.close()


main = RestifiedApp.launch_instance

if __name__ == "__main__":
    main()
