"""What the tasks of test_isolation.py do. A module of its own, since each of their processes imports it."""

from __future__ import annotations

import concurrent.futures
import ctypes
import math
import os
import queue
import random
import signal
import sys
import threading
import time

from restified_magics.isolated.isolated_child import marks, report

STATE: list[int] = []
FUTURES: queue.SimpleQueue[concurrent.futures.Future] = queue.SimpleQueue()
PIDS: list[int] = []


def leave_state(_argument=None):
    STATE.append(1)
    return len(STATE), os.getpid()


def mark(call, cell):
    where = marks()
    where[0], where[1] = call, cell
    return True


class Late:
    """A result during whose arrival its future, that of `FUTURES`, is cancelled."""

    def __reduce__(self):
        return _cancelled, (os.getpid(),)


def _cancelled(pid):
    concurrent.futures.Future.cancel(FUTURES.get(timeout=60))
    PIDS.append(pid)


class EndsUsed:
    """An argument that ends the process which it comes to, if a task has left something there."""

    def __reduce__(self):
        return _ended_if_used, ()


def _ended_if_used():
    if STATE:
        os._exit(9)


def fail():
    raise LookupError("no such thing") from KeyError("key")


def allocate_again_and_again(times, size):
    """Pages of memory that were touched for the first time meanwhile."""
    import resource

    import numpy as np

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        [np.ones(size, dtype="uint8") for _ in range(10)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


class OwnError(Exception):
    """An exception that cannot be pickled there and back."""

    def __init__(self, first, second):
        super().__init__(first)
        self.second = second


def fail_in_own_way():
    raise OwnError(1, 2)


def segfault():
    ctypes.string_at(0)


def wait_stubbornly(path):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    path.write_text(f"{os.getpid()}\n")
    while True:
        pass


def leave_child(path, daemon):
    """Start a process that outlives the task; a daemon is in a session of its own, and nobody's child."""
    if os.fork() == 0:
        if daemon:
            os.setsid()
            if os.fork():
                os._exit(0)
        path.write_text(f"{os.getpid()}\n")
        time.sleep(1000)
    told(path)


def wait_with_daemon(path, child):
    leave_child(child, True)
    wait_stubbornly(path)


def draw():
    import numpy

    return random.random(), float(numpy.random.random())


def surroundings():
    return os.getcwd(), list(sys.path), dict(os.environ), list(sys.argv)


def report_twice():
    report("one")
    report({"two": 2})
    return "three"


def interrupt_itself():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        return "interrupted"


def interpreter():
    return "numpy" in sys.modules, threading.active_count(), os.getpid() == os.getpgid(0)


def fork_server_child():
    import multiprocessing

    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        return pool.apply(math.factorial, [5])


def spawned_child():
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(math.factorial, [5])


def told(path):
    """Wait for a number that a task writes to a file."""
    latest = time.monotonic() + 20
    while time.monotonic() < latest:
        if path.exists() and path.read_text().endswith("\n"):
            return int(path.read_text())
        time.sleep(0.01)
    raise AssertionError(f"nothing was written to {path}")
