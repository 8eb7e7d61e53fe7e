"""Takes the times: processes in turn, a block of calls each, over several rounds."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.notebooks import write_all

__all__ = ["Effort", "Lab", "Sample"]

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_WORKER = "import time; started = time.perf_counter(); from benchmarks.worker import main; main(started)"
_UNWANTED = ("JUPYTER_PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONWARNINGS")
_STATE = {
    "IPYTHONDIR": "ipython",
    "JUPYTER_CONFIG_DIR": "jupyter-config",
    "JUPYTER_DATA_DIR": "jupyter-data",
    "JUPYTER_RUNTIME_DIR": "jupyter-runtime",
    "MPLCONFIGDIR": "matplotlib",
    "XDG_CACHE_HOME": "cache",
    "XDG_CONFIG_HOME": "config",
    "XDG_STATE_HOME": "state",
    "TMPDIR": "tmp",
}


@dataclasses.dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: how often each system has its turn.
        warm_up: whether a turn that is not counted comes before.
        calls: calls in a block, at most.
        seconds: after which no other call of a block begins.
        memory_calls: calls over which memory is watched.
        memory_seconds: after which a slow system's memory is watched no longer.
        kernel_peers: whether systems that start a kernel a call are measured on every notebook.
    """

    rounds: int = 7
    warm_up: bool = True
    calls: int = 1000
    seconds: float = 0.4
    memory_calls: int = 2000
    memory_seconds: float = 120.0
    kernel_peers: bool = True


@dataclasses.dataclass
class Sample:
    """What a system took, or why there is nothing.

    Attributes:
        status: ``"ok"``; ``"absent"``, not installed; ``"fails"``, an error or a wrong value.
        why: the reason, where it is not ok.
        rounds: one figure a round: the median of its block. Seconds, or bytes a call.
        slowest: one figure a round: what all but one in a hundred calls of its block were below; where a
            call has several clients, what each of them waited.
        number: how many calls were measured.
    """

    status: str = "ok"
    why: str = ""
    rounds: list[float] = dataclasses.field(default_factory=list)
    slowest: list[float] = dataclasses.field(default_factory=list)
    number: int = 0

    @property
    def median(self) -> float | None:
        """The median over the rounds."""
        return statistics.median(self.rounds) if self.status == "ok" and self.rounds else None

    def compared(self, other: Sample, by: Callable[[float, float], float]) -> float | None:
        """The median over the rounds of ``by(own figure, the other's figure)``."""
        if self.median is None or other.median is None:
            return None
        return statistics.median(by(own, base) for own, base in zip(self.rounds, other.rounds, strict=True))

    def add(self, values: list[float], waits: Sequence[float] = ()) -> None:
        """A round."""
        self.rounds.append(statistics.median(values))
        each = sorted(waits or values)
        self.slowest.append(each[min(len(each) - 1, int(len(each) * 0.99))])
        self.number += len(values)

    def of_slowest(self) -> Sample:
        """The same, of the slowest calls."""
        return dataclasses.replace(self, rounds=self.slowest)

    def refuse(self, status: str, why: str) -> None:
        """Note that there is nothing, and why."""
        self.status, self.why = status, why


class Lab:
    """Where it is measured: the notebooks, the state of all processes, the effort.

    Args:
        folder: a temporary folder, for everything that is written.
        effort: how long to measure.
        note: is told what is measured now.
    """

    def __init__(self, folder: pathlib.Path, effort: Effort, note: Callable[[str], None]) -> None:
        self.folder = folder
        self.effort = effort
        self.note = note
        self.notebooks = folder / "notebooks"
        self.notebooks.mkdir()
        write_all(self.notebooks)
        # Bytecode is cached and output buffered, as for users.
        self.environment = {key: value for key, value in os.environ.items() if key not in _UNWANTED}
        for key, name in _STATE.items():
            (folder / name).mkdir()
            self.environment[key] = str(folder / name)
        self.environment["MPLBACKEND"] = "Agg"

    def blocks(
        self, module: str, systems: Iterable[str], workload: str, *, finer: int = 1
    ) -> dict[str, Sample]:
        """Seconds of a call, in blocks by turns.

        Args:
            module: the module that has the systems, in its ``SYSTEMS``.
            systems: their names.
            workload: the notebook.
            finer: so many times as many rounds, of blocks so many times as short: for a small difference.
        """
        effort = self.effort
        seconds = effort.seconds / finer
        samples = {name: Sample() for name in systems}
        with contextlib.ExitStack() as stack:
            workers = {name: stack.enter_context(_Worker(self, module, name, workload)) for name in samples}
            for name, sample in samples.items():
                workers[name].ask(sample, "first")
            for turn in self._turns(workload, effort.rounds * finer):
                for name, sample in samples.items():
                    answer = workers[name].ask(sample, "block", calls=effort.calls, seconds=seconds)
                    if answer and turn:
                        sample.add(answer["times"], answer["waits"])
        return samples

    def first_calls(self, module: str, systems: Iterable[str], workload: str) -> dict[str, Sample]:
        """Seconds from the beginning of a new Python, once it is up, to the value of its first call."""
        samples = {name: Sample() for name in systems}
        for turn in self._turns("first call", self.effort.rounds):
            for name, sample in samples.items():
                with _Worker(self, module, name, workload) as worker:
                    answer = worker.ask(sample, "first")
                if answer and turn:
                    sample.add([answer["took"]])
        return samples

    def memory(
        self, module: str, systems: Iterable[str], workload: str, *, most: int | None = None
    ) -> dict[str, Sample]:
        """Bytes that a call leaves behind once all is warm: the slope over the second half of the calls."""
        effort = self.effort
        calls = min(effort.memory_calls, most or effort.memory_calls)
        asked = {
            "calls": calls,
            "every": max(1, calls // 40),
            "seconds": effort.memory_seconds,
            "growth": 500_000_000,
        }
        samples = {name: Sample() for name in systems}
        for name, sample in samples.items():
            self.note(f"memory, {workload}, {name}")
            with _Worker(self, module, name, workload) as worker:
                worker.ask(sample, "first")
                answer = worker.ask(sample, "memory", **asked)
            if answer:
                points = answer["points"]
                sample.rounds.append(_slope(points[(len(points) - 1) // 2 :]))
                sample.number = points[-1][0]
        return samples

    def scripts(self, codes: Mapping[str, str]) -> dict[str, Sample]:
        """Seconds that ``python -c code`` takes more than ``python -c pass``."""
        samples = {name: Sample() for name in codes}
        for turn in self._turns("imports", self.effort.rounds):
            bare, _ = self._script("pass")
            for name, sample in samples.items():
                took, error = self._script(codes[name])
                if error:
                    sample.refuse("absent" if error.startswith("ModuleNotFoundError") else "fails", error)
                elif turn:
                    sample.add([took - bare])
        return samples

    def _turns(self, what: str, rounds: int) -> Iterator[int]:
        """The numbers of the rounds; 0 is the one that warms up."""
        for turn in range(0 if self.effort.warm_up else 1, rounds + 1):
            self.note(f"{what}, round {turn} of {rounds}")
            yield turn

    def _script(self, code: str) -> tuple[float, str]:
        before = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        took = time.perf_counter() - before
        return took, (done.stderr.strip().splitlines() or ["failed"])[-1] if done.returncode else ""


def _slope(points: list[list[int]]) -> float:
    """Bytes a call, by least squares."""
    return statistics.linear_regression([calls for calls, _ in points], [size for _, size in points]).slope


class _Worker:
    """A process of ``benchmarks.worker``; ``with`` ends it."""

    def __init__(self, lab: Lab, module: str, system: str, workload: str, limit: float = 600.0) -> None:
        self._limit = limit
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, module, system, str(lab.notebooks), workload],
            env={**lab.environment, "PYTHONPATH": str(_ROOT)},
            cwd=lab.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, sample: Sample, what: str, **how: Any) -> dict[str, Any] | None:
        """The answer, or None where there is none: the sample says why, and nothing more is asked for it."""
        if sample.status != "ok":
            return None
        line = self._answer(json.dumps({"ask": what, **how}))
        answer: dict[str, Any] = (
            json.loads(line) if line else {"fails": f"its process ended, or took {self._limit:g} s"}
        )
        for status in ("absent", "fails"):
            if status in answer:
                sample.refuse(status, answer[status])
                return None
        return answer

    def _answer(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(self._limit, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            return self._process.stdout.readline()
        except OSError:
            return ""
        finally:
            timer.cancel()

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._process.communicate(timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
