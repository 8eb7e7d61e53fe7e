"""The isolated executor: a process for every task, and nothing of it left behind. It knows no notebooks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import os
import pathlib
import pickle
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time

import isolated_tasks as tasks
import psutil
import pytest

from restified_magics.errors import TaskDied
from restified_magics.isolated.isolation import IsolatedExecutor


@pytest.fixture(scope="module")
def executor():
    with IsolatedExecutor(max_workers=2, preload=["numpy"]) as made:
        yield made


def _gone(*pids):
    """Wait until these processes are gone."""
    latest = time.monotonic() + 20
    while time.monotonic() < latest:
        if not [pid for pid in pids if _is_running(pid)]:
            return True
        time.sleep(0.01)
    return False


def _is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# -------------------------------------------------------- as every executor


def test_it_is_an_executor(executor):
    """Results, order of `map`, keyword arguments, `wait` and `as_completed` are as with every executor."""
    assert isinstance(executor, concurrent.futures.Executor)
    assert executor.submit(int, "ff", base=16).result() == 255
    assert list(executor.map(math.pow, [2, 3, 4], [3, 2, 1])) == [8.0, 9.0, 4.0]
    futures = [executor.submit(math.factorial, n) for n in range(6)]
    assert {future.result() for future in concurrent.futures.as_completed(futures, 20)} == {1, 2, 6, 24, 120}
    assert not concurrent.futures.wait(futures).not_done


def test_a_task_can_be_interrupted(executor):
    """SIGINT is an exception in a task, as in any Python, though its fork server does not hear of it."""
    assert executor.submit(tasks.interrupt_itself).result(30) == "interrupted"


def test_each_task_has_a_process_of_its_own(executor):
    """What a task leaves in its process is seen by no other, and processes are used once."""
    found = [executor.submit(tasks.leave_state).result() for _ in range(5)]
    assert [count for count, _ in found] == [1] * 5
    assert len({pid for _, pid in found}) == 5
    assert _gone(*(pid for _, pid in found))
    assert tasks.STATE == []


def test_what_a_task_raises(executor):
    """The exception itself comes back, with its traceback as a note and its cause."""
    with pytest.raises(LookupError, match="no such thing") as caught:
        executor.submit(tasks.fail).result()
    assert "in fail" in caught.value.__notes__[0]
    assert "KeyError: 'key'" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("task", "error", "words"),
    [
        (tasks.fail_in_own_way, RuntimeError, "OwnError: 1"),
        (threading.Lock, TypeError, "cannot pickle"),
        (lambda: 1, (pickle.PicklingError, AttributeError), "Can't (pickle|get local object)"),
        (sys.exit, SystemExit, None),
    ],
)
def test_what_cannot_cross_is_an_error_of_that_task(executor, task, error, words):
    """An exception, result or function that cannot be pickled fails its task, and no other."""
    with pytest.raises(error, match=words):
        executor.submit(task).result(timeout=60)
    assert executor.submit(abs, -1).result() == 1


def test_shutdown():
    """What was submitted is done, nothing more is taken, and `cancel_futures` cancels what has not begun."""
    executor = IsolatedExecutor(max_workers=1)
    done = executor.submit(math.factorial, 5)
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)
    assert done.result(60) == 120

    executor = IsolatedExecutor(max_workers=1)
    futures = [executor.submit(time.sleep, 0.2) for _ in range(5)]
    while not futures[0].running():
        time.sleep(0.001)
    executor.shutdown(cancel_futures=True)
    assert [future.cancelled() for future in futures] == [False, True, True, True, True]


def test_shutdown_leaves_no_process():
    """Neither the processes that waited nor those that worked outlive the executor; descriptors neither."""
    with IsolatedExecutor(max_workers=1) as executor:
        executor.submit(abs, 1).result()  # whatever exists once in a process exists from here on
    before = _children(), len(os.listdir("/proc/self/fd"))
    for ending in (IsolatedExecutor.shutdown, IsolatedExecutor.kill_workers):
        executor = IsolatedExecutor(max_workers=2)
        running = executor.submit(time.sleep, 1000 if ending is IsolatedExecutor.kill_workers else 0)
        executor.submit(abs, 1).result()
        ending(executor)
        assert running.done()
        assert (_children(), len(os.listdir("/proc/self/fd"))) == before


def _children():
    found = psutil.Process().children(recursive=True)
    return {process.pid for process in found if _is_running(process.pid)}


def test_arguments_are_checked():
    """Numbers that make no sense are refused when the executor is made."""
    with pytest.raises(ValueError, match="max_workers must be at least 1, not 0"):
        IsolatedExecutor(0)
    with pytest.raises(ValueError, match="ahead must be 0 or more, not -1"):
        IsolatedExecutor(1, ahead=-1)


def test_without_processes_ahead():
    """Processes may also be started when they are needed."""
    with IsolatedExecutor(1, ahead=0) as executor:
        assert list(executor.map(abs, [-1, -2])) == [1, 2]


# ---------------------------------------------------------------- used again


def test_a_process_can_have_several_tasks():
    """As long as its time lasts, and they return; it goes with the executor."""
    with IsolatedExecutor(1, reuse=600) as executor:
        (_, one), (_, same), (count, _) = (executor.submit(tasks.leave_state).result() for _ in range(3))
        assert (one == same, count) == (True, 3)
        with pytest.raises(LookupError):
            executor.submit(tasks.fail).result()
        count, other = executor.submit(tasks.leave_state).result()
        assert (count, other == one) == (1, False)
        assert _gone(one)
    assert _gone(other)


def test_a_process_ends_when_its_time_is_up():
    """Whether it works then, or waits for a task: what tasks have left does not outlive it."""
    with IsolatedExecutor(1, reuse=0.2) as executor:
        _, first = executor.submit(tasks.leave_state).result()
        executor.submit(time.sleep, 0.3).result()
        assert _gone(first)
        count, second = executor.submit(tasks.leave_state).result()
        assert (count, second == first) == (1, False)
        assert _gone(second)
        assert executor.submit(tasks.leave_state).result()[0] == 1


def test_the_process_of_a_cancelled_task_has_no_other():
    """Also if the task is cancelled as it returns: who cancels it ends its process, and no other task."""
    with IsolatedExecutor(1, reuse=600) as executor:
        future = executor.submit(tasks.Late)
        tasks.FUTURES.put(future)
        concurrent.futures.wait([future], 60)
        assert future.cancelled()
        assert _gone(tasks.PIDS.pop())


def test_a_process_that_ends_between_two_tasks_is_replaced():
    """The next task does not hear of it."""
    with IsolatedExecutor(1, reuse=600) as executor:
        _, one = executor.submit(tasks.leave_state).result()
        os.kill(one, signal.SIGKILL)
        assert _gone(one)
        assert executor.submit(tasks.leave_state).result()[0] == 1


def test_a_task_that_had_not_begun_is_given_to_another_process():
    """What a task before it has left may end the process when it has been sent there."""
    with IsolatedExecutor(1, reuse=600) as executor:
        _, one = executor.submit(tasks.leave_state).result()
        count, other = executor.submit(tasks.leave_state, tasks.EndsUsed()).result()
        assert (count, other == one) == (1, False)


def test_where_it_was_is_of_the_task_that_ended():
    """The marks of a task before it are gone, though it had the same process."""
    with IsolatedExecutor(1, reuse=600) as executor:
        assert executor.submit(tasks.mark, 7, 3).result()
        died = executor.submit(os._exit, 3)
        with pytest.raises(TaskDied):
            died.result()
        assert died.where == (0, 0)


# ------------------------------------------------------------------ isolation


@pytest.mark.parametrize(
    ("task", "args", "words"),
    [
        (tasks.segfault, (), "crashed by SIGSEGV"),
        (os._exit, (3,), "ended by itself with exit code 3"),
        (signal.raise_signal, (signal.SIGKILL,), "was killed by SIGKILL"),
    ],
)
def test_a_crash_is_that_tasks_alone(executor, task, args, words):
    """A task that crashes says how it ended; those beside it and after it do not notice."""
    beside = executor.submit(time.sleep, 0.2)
    with pytest.raises(TaskDied, match=words):
        executor.submit(task, *args).result(60)
    assert beside.result(60) is None
    assert executor.submit(abs, -1).result(60) == 1


def test_timeout_ends_a_task_that_does_not_want_to(executor, tmp_path):
    """A task over its time is killed, whatever signals it ignores, and its slot is back."""
    with pytest.raises(TimeoutError, match=r"stopped after 0.5 s"):
        executor.submit_within(0.5, tasks.wait_stubbornly, tmp_path / "pid").result(60)
    assert _gone(tasks.told(tmp_path / "pid"))
    assert list(executor.map(abs, [-1, -2, -3])) == [1, 2, 3]


def test_cancel_ends_a_running_task_with_all_that_it_started(executor, tmp_path):
    """A running task can be cancelled: its process is gone, its daemons too, and its slot is back."""
    future = executor.submit(tasks.wait_with_daemon, tmp_path / "pid", tmp_path / "child")
    pids = tasks.told(tmp_path / "pid"), tasks.told(tmp_path / "child")
    assert future.running()
    assert future.cancel()
    assert future.cancelled()
    assert not future.running()
    assert _gone(*pids)
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()
    concurrent.futures.wait([future], 20)
    assert list(executor.map(abs, [-1, -2, -3])) == [1, 2, 3]


@pytest.mark.parametrize("daemon", [False, True])
def test_what_a_task_leaves_running_ends_with_it(executor, tmp_path, daemon):
    """Children of a task end with it, also those that made themselves daemons."""
    executor.submit(tasks.leave_child, tmp_path / "pid", daemon).result(60)
    assert _gone(tasks.told(tmp_path / "pid"))


def test_large_values_cross(executor):
    """100 MB go there and back."""
    data = os.urandom(1 << 20) * 100
    assert executor.submit(bytes, data).result(60) == data


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have rules of their own")
def test_memory_is_used_again(executor):
    """A process that gave its arrays back would touch all their pages anew."""
    once = executor.submit(tasks.allocate_again_and_again, 1, 320_000).result(30)
    often = executor.submit(tasks.allocate_again_and_again, 50, 320_000).result(30)
    assert often < 3 * once


def test_nothing_leaks():
    """Five thousand tasks leave no descriptor, no process and no memory behind."""
    others = _children()
    with IsolatedExecutor(max_workers=2) as executor:
        list(executor.map(math.factorial, range(100)))
        process = psutil.Process()
        before = process.num_fds(), process.memory_info().rss
        for _ in range(50):
            list(executor.map(math.factorial, [5] * 100))
        assert len(_children() - others) < 12
        latest = time.monotonic() + 20
        # a process that waits has two descriptors, as has one that is about to be reaped
        while process.num_fds() > before[0] + 4 and time.monotonic() < latest:
            time.sleep(0.01)
        after = process.num_fds(), process.memory_info().rss
    assert after[0] <= before[0] + 4
    assert after[1] - before[1] < 8_000_000


def test_threads_and_an_event_loop(executor):
    """It works where there are other threads and a running loop, and a task that is cancelled there ends."""

    async def main():
        futures = [asyncio.wrap_future(executor.submit(math.factorial, n)) for n in (3, 4)]
        assert await asyncio.gather(*futures) == [6, 24]
        assert await asyncio.to_thread(lambda: executor.submit(abs, -3).result(60)) == 3
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(executor.submit(time.sleep, 1000)), 0.3)
        assert await asyncio.wrap_future(executor.submit(abs, -4)) == 4

    asyncio.run(main())


def test_random_numbers_differ(executor):
    """Each process draws numbers of its own, from Python's generator and from numpy's."""
    drawn = [executor.submit(tasks.draw).result() for _ in range(4)]
    assert len({first for first, _ in drawn}) == 4
    assert len({second for _, second in drawn}) == 4


def test_a_task_finds_what_is_now(executor, tmp_path, monkeypatch):
    """Folder, path, arguments and environment are those of the moment, without the secrets of a server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    monkeypatch.setenv("SOMETHING_NEW", "1")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    cwd, path, environ, argv = executor.submit(tasks.surroundings).result()
    assert pathlib.Path(cwd) == tmp_path
    assert path[0] == str(tmp_path / "modules")
    assert environ["SOMETHING_NEW"] == "1"
    assert "JUPYTERHUB_API_TOKEN" not in environ
    assert argv == sys.argv


def test_preload(executor):
    """A process has the chosen packages when it begins, one thread, and a process group of its own."""
    assert executor.submit(tasks.interpreter).result() == (True, 1, True)


def test_a_preload_that_ends_python_is_named(tmp_path, monkeypatch):
    """Where the server cannot start, tasks say which modules it was to import."""
    (tmp_path / "ends_python.py").write_text("import os\nos._exit(1)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    with (
        IsolatedExecutor(1, preload=["ends_python"]) as executor,
        pytest.raises(TaskDied, match="ends_python"),
    ):
        executor.submit(abs, 1).result(60)


def test_reports(executor):
    """A task can tell how far it is; outside an isolated process that has no effect."""
    told: list[object] = []
    assert executor.submit_heard(told.append, 60, tasks.report_twice).result() == "three"
    assert told == ["one", {"two": 2}]
    assert tasks.report_twice() == "three"


def test_multiprocessing_inside_a_task(executor):
    """A task may use multiprocessing's own fork server."""
    assert executor.submit(tasks.fork_server_child).result(60) == 120


SIGNALLED = """
import os, signal
from restified_magics.isolated.isolation import IsolatedExecutor

if __name__ == "__main__":
    with IsolatedExecutor(max_workers=1, preload=["restified_magics.isolated.isolated_call"]) as executor:
        print(*(executor.submit(signal.getsignal, number).result() for number in (signal.SIGHUP, signal.SIGTERM)))
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
            os.killpg(0, number)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups")
def test_a_terminal_that_is_closed_leaves_nothing(tmp_path):
    """Signals to the whole group end neither the server before it has tidied up, nor are they ignored by tasks."""
    (tmp_path / "script.py").write_text(SIGNALLED)
    with tempfile.TemporaryDirectory() as folder:  # short enough that all is kept there, sockets too
        assert _printed(tmp_path / "script.py", folder, start_new_session=True) == "0 0\n"  # SIG_DFL
        _await_empty(folder)


LONG = """
import math, multiprocessing, tempfile
from restified_magics.isolated.isolation import IsolatedExecutor

if __name__ == "__main__":
    with IsolatedExecutor(max_workers=1, ahead=0) as executor:
        print(executor.submit(math.factorial, 5).result(), tempfile.gettempdir())
    print(multiprocessing.util.get_temp_dir())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no sockets in folders")
def test_a_temporary_folder_with_a_long_path(tmp_path):
    """As batch systems make them: a socket's path may have some hundred bytes, a file's thousands."""
    folder = tmp_path / ("d" * 90)
    folder.mkdir()
    (tmp_path / "script.py").write_text(LONG)
    value, short = _printed(tmp_path / "script.py", folder).splitlines()
    assert value == f"120 {folder}"
    assert os.path.dirname(short) == "/tmp"
    assert not os.path.exists(short)
    _await_empty(folder)


def _printed(script, folder, **options):
    """What a script prints whose temporary folder this is."""
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,  # what it wrote to stderr says more
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _await_empty(folder):
    latest = time.monotonic() + 20
    while (left := os.listdir(folder)) and time.monotonic() < latest:
        time.sleep(0.01)
    assert left == []


def test_spawn():
    """Where there is no fork, a task gets a new Python, with the same guarantees."""
    with IsolatedExecutor(max_workers=1, start_method="spawn", ahead=0) as executor:
        assert executor.submit(math.factorial, 5).result(60) == 120
        assert executor.submit(tasks.spawned_child).result(60) == 120
        with pytest.raises(TaskDied, match="exit code 3"):
            executor.submit(os._exit, 3).result(60)
        with pytest.raises(TimeoutError):
            executor.submit_within(0.3, time.sleep, 1000).result(60)


SCRIPT = """
import os, pathlib, sys, time
from restified_magics.isolated.isolation import IsolatedExecutor

print("imported", __name__, flush=True)

def double(x):
    return 2 * x

def forever(path):
    path.write_text(f"{os.getpid()}\\n")
    while True:
        time.sleep(1000)

if __name__ == "__main__":
    with IsolatedExecutor(max_workers=2) as executor:
        executor.submit(abs, 1).result()
        print(executor.submit(double, 21).result(), flush=True)
        executor.submit(forever, pathlib.Path(sys.argv[1])).result()
"""


def test_a_script_and_its_end(tmp_path):
    """Tasks may be functions of a script, which is imported for those only; they die when it is killed."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "pid")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline().strip() for _ in range(3)]
        assert lines == ["imported __main__", "imported __mp_main__", "42"]
        pid = tasks.told(tmp_path / "pid")
        everyone = [pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
        process.kill()
        assert _gone(*everyone)
