"""One system and one workload in a process of its own, which answers a line of JSON by a line of JSON."""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.systems import System
from benchmarks.workloads import Workload

__all__ = ["main"]

_Answer = dict[str, Any]


class Worker:
    """Does what the parent asks for: `first`, `block`, `memory`.

    Args:
        system: what is measured.
        workload: the notebook.
        started: when this process began, by `time.perf_counter`.
    """

    def __init__(self, system: System, workload: Workload, started: float) -> None:
        self.system = system
        self.workload = workload
        self.params = workload.params if system.takes_params else {}
        self.expected = workload.value if system.takes_params else workload.default
        self.started = started

    def answer(self, request: _Answer) -> _Answer:
        """What was asked for, or ``{"absent": why}`` or ``{"fails": why}``."""
        ask: Callable[..., _Answer] = getattr(self, request.pop("ask"))
        try:
            return ask(**request)
        except ModuleNotFoundError as error:
            wanted = {name.partition(".")[0] for name in self.system.modules}
            return {"absent" if error.name in wanted else "fails": str(error)}
        except Exception as error:  # noqa: BLE001  # whatever a tool raises is its result
            return {"fails": f"{type(error).__name__}: {error}"[:300]}

    def first(self) -> _Answer:
        """Import, set up, call once; seconds from the start of this process to the value."""
        self.system.import_modules()
        self.system.setup(self.workload)
        value = self.system.call(self.params)
        took = time.perf_counter() - self.started
        self._check(value)
        return {"took": took}

    def block(self, calls: int, seconds: float) -> _Answer:
        """Seconds of each of at most so many calls; no other begins after so many seconds."""
        clock, call, params = time.perf_counter, self.system.call, self.params
        times: list[float] = []
        waits: list[float] = []
        end = clock() + seconds
        while len(times) < calls:
            self.system.rest()
            before = clock()
            value = call(params)
            after = clock()
            times.append((after - before) / self.system.parts)
            waits += self.system.waits()
            if after > end:
                break
        self._check(value)
        return {"times": times, "waits": waits}

    def memory(self, calls: int, every: int, seconds: float, growth: int) -> _Answer:
        """Resident bytes at every so many calls: up to `calls`, to `seconds`, or to so many bytes more."""
        try:
            points = [(0, self._resident())]
        except OSError:
            return {"absent": "resident memory is read from /proc, which there is not here"}
        end = time.perf_counter() + seconds
        for number in range(1, calls + 1):
            value = self.system.call(self.params)
            if number % every == 0:
                gc.collect()
                points.append((number, self._resident()))
                if time.perf_counter() > end or points[-1][1] - points[0][1] > growth:
                    break
        self._check(value)
        return {"points": points}

    def _check(self, value: object) -> None:
        if value != self.expected:
            raise ValueError(f"the call gave {value!r:.80} and not {self.expected!r:.80}")

    def _resident(self) -> int:
        if self.system.process is None:
            return _resident(os.getpid())
        import psutil  # only for servers, whose processes count too

        tree = psutil.Process(self.system.process)
        return sum(_resident(each.pid) for each in [tree, *tree.children(recursive=True)])


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except ProcessLookupError:  # it has just ended
        return 0


def main(started: float) -> None:
    """Answer until there are no more questions. What notebooks print goes nowhere."""
    module, name, folder, workload_name = sys.argv[1:5]
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    systems = importlib.import_module(module)
    system: System = systems.SYSTEMS[name]()
    workload = Workload(folder, workload_name)
    worker = Worker(system, workload, started)
    try:
        for line in sys.stdin:
            print(json.dumps(worker.answer(json.loads(line))), file=channel, flush=True)
    finally:
        system.close()
