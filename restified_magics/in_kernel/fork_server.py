"""Python kernels forked from a process that has imported what every one of them imports.

A kernel of ipykernel needs half a second to start, nearly all of it imports. The server, a process of
the kernelspec's own Python and environment, imports once and forks a kernel in a tenth of that time.
It has one thread, opens no socket, and each kernel is a process group of its own, as one that was
started in the usual way. Behind Jupyter's provisioner interface nobody sees the difference.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jupyter_client.provisioning import LocalProvisioner

__all__ = ["ForkProvisioner", "can_fork", "interpreter", "server"]

_STARTING = 30.0  # seconds: a server that takes longer to import is left, and kernels start in the usual way
_LINGERS = 5.0  # seconds without work after which a server ends

# Runs in the kernelspec's Python: only what ipykernel brings may be imported.
_PROGRAM = r"""
import json, os, select, signal, sys

options = json.loads(sys.argv[1])
requests, answers, errors = os.dup(0), os.dup(1), os.dup(2)
nothing = os.open(os.devnull, os.O_RDWR)
for number in (0, 1, 2):  # what imports may say is nobody's
    os.dup2(nothing, number)


def answer(**fields):
    os.write(answers, (json.dumps(fields) + "\n").encode())


def child(request):
    os.setsid()
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for descriptor in (requests, answers, nothing, wakeup, waking):
        os.close(descriptor)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    log = errors
    if request["log"]:
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.chdir(request["cwd"])
    if request["env"] is not None:
        os.environ.clear()
        os.environ.update(request["env"])
    os.environ["PWD"] = request["cwd"]
    random = sys.modules.get("random")
    if random is not None:
        random.seed()
    sys.argv = [*request["argv"], f"--IPKernelApp.parent_handle={os.getppid()}"]
    kernelapp.launch_new_instance()


# as in a kernel that is started in the usual way, `""`, the folder of the notebook, comes in by IPython
sys.path[:] = [entry for entry in sys.path if entry]
from ipykernel import kernelapp
import ipykernel.heartbeat, ipykernel.iostream, ipykernel.ipkernel, ipykernel.zmqshell
import IPython.core.completer, IPython.core.history, IPython.core.magics, IPython.core.pylabtools
try:
    import ipykernel.debugger
except ImportError:
    pass
import atexit, ctypes, gc, importlib, threading
for name in options["preload"]:
    try:
        importlib.import_module(name)
    except Exception:  # who needs it will be told
        pass

PR_SET_PDEATHSIG = 1
prctl = getattr(ctypes.CDLL(None), "prctl", None)  # so that no kernel outlives a server that was killed
children = set()
wakeup, waking = os.pipe()
os.set_blocking(waking, False)
signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
signal.signal(signal.SIGCHLD, lambda *_: None)
signal.signal(signal.SIGINT, signal.SIG_IGN)
gc.collect()
gc.freeze()
answer(ready=threading.active_count() == 1)
rest = b""
while True:
    readable, _, _ = select.select([requests, wakeup], [], [], None if children else options["linger"])
    if not readable:
        break  # there was nothing to do for a while: whoever wants kernels again starts another server
    if wakeup in readable:
        os.read(wakeup, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            children.discard(pid)
            answer(ended=pid, code=os.waitstatus_to_exitcode(status) if hasattr(os, "waitstatus_to_exitcode")
                   else -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
    if requests in readable:
        read = os.read(requests, 1 << 20)
        if not read:
            break
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            request = json.loads(line)
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    child(request)
                    code = 0
                except SystemExit as ended:
                    code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
                except BaseException:
                    sys.excepthook(*sys.exc_info())
                finally:
                    try:
                        atexit._run_exitfuncs()
                        sys.stdout.flush()
                    finally:
                        os._exit(code)
            children.add(pid)
            answer(request=request["number"], pid=pid)
for pid in children:  # who asked is gone, however it ended
    for end, whom in ((os.killpg, pid), (os.kill, pid)):
        try:
            end(whom, signal.SIGKILL)
        except OSError:
            pass
"""


class Forked:
    """A forked kernel's process, as much of `subprocess.Popen` as a provisioner uses."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.ended = threading.Event()

    def poll(self) -> int | None:
        """What it ended with, or None while it runs."""
        return self.returncode if self.ended.is_set() else None

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it has ended."""
        self.ended.wait(timeout)
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):  # it has, and nobody has told yet
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Wanted(NamedTuple):
    """A kernel that is to be forked.

    Attributes:
        argv: what `ipykernel_launcher` gets.
        cwd: its folder.
        log: the file for what it writes by itself; empty is where the server writes.
        env: its environment; None is that of the server.
    """

    argv: list[str]
    cwd: str
    log: str
    env: dict[str, str] | None


class ForkServer:
    """A process that forks kernels.

    Args:
        command: the interpreter and its own options.
        env: its environment, which the kernels have too, unless :meth:`fork` says another one.
        preload: modules that it imports besides. Such a server stays as long as this process, and writes to
            its stderr.
    """

    def __init__(self, command: list[str], env: Mapping[str, str], preload: Sequence[str] = ()) -> None:
        self._lock = threading.Lock()
        self._asked = 0
        self._answers: dict[int, Forked | None] = {}
        self._children: dict[int, Forked] = {}
        self._changed = threading.Condition(self._lock)
        self._ready: bool | None = None
        self.lingered = False  # it worked, and has ended
        options = {"preload": list(preload), "linger": None if preload else _LINGERS}
        self._process = subprocess.Popen(  # noqa: S603 - the kernelspec's own Python, and a program of ours
            [*command, "-c", _PROGRAM, json.dumps(options)],
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if preload else subprocess.DEVNULL,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, name="restified-fork-server", daemon=True).start()

    def _listen(self) -> None:
        answers, requests = self._process.stdout, self._process.stdin
        assert answers is not None  # noqa: S101 - it was asked for
        assert requests is not None  # noqa: S101 - it was asked for
        for line in answers:
            told = json.loads(line)
            with self._lock:
                if "ready" in told:
                    self._ready = told["ready"]
                elif "pid" in told:
                    child = Forked(told["pid"])
                    self._children[child.pid] = self._answers[told["request"]] = child
                else:
                    child = self._children.pop(told["ended"])
                    child.returncode = told["code"]
                    child.ended.set()
                self._changed.notify_all()
        with self._lock:  # it has ended, and nobody tells any more how its children do
            self.lingered = self.lingered or bool(self._ready)
            self._ready = False
            for child in self._children.values():
                child.returncode = -signal.SIGKILL
                child.ended.set()
            self._changed.notify_all()
            answers.close()
            with contextlib.suppress(OSError):  # a request that was on its way
                requests.close()
        self._process.wait()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._ready is not False

    def fork(self, wanted: Wanted) -> Forked | None:
        """A new kernel, or None where this server cannot make one."""
        latest = time.monotonic() + _STARTING
        with self._lock:
            while self._ready is None and time.monotonic() < latest:
                self._changed.wait(0.1)
            if not self._ready:
                self._ready = False
                return None
            self._asked += 1
            number = self._asked
            request = {"number": number, **wanted._asdict()}
            pipe = self._process.stdin
            assert pipe is not None  # noqa: S101 - it was asked for
            try:
                pipe.write(json.dumps(request).encode() + b"\n")
                pipe.flush()
            except OSError:  # it has just ended
                self._ready, self.lingered = False, True
                return None
            while number not in self._answers and self._ready and time.monotonic() < latest:
                self._changed.wait(0.1)
            return self._answers.pop(number, None)


_servers: dict[Any, ForkServer] = {}
_making = threading.Lock()


def server(command: list[str], env: Mapping[str, str], preload: Sequence[str] = ()) -> ForkServer:
    """The server of this process for this Python, environment, and modules that it imports besides."""
    key = (os.getpid(), tuple(command), tuple(sorted(env.items())), tuple(preload))
    with _making:
        found = _servers.get(key)
        if found is None or not found.alive:
            found = _servers[key] = ForkServer(command, env, preload)
        return found


def _fork(
    command: list[str], env: Mapping[str, str], preload: Sequence[str], wanted: Wanted
) -> Forked | None:
    found = server(command, env, preload)
    forked = found.fork(wanted)
    if forked is None and found.lingered:  # it ended for want of work while it was asked
        forked = server(command, env, preload).fork(wanted)
    return forked


def can_fork(argv: list[str]) -> bool:
    """Whether a kernelspec's command starts ipykernel in the usual way, on a system where forks are safe."""
    return sys.platform == "linux" and interpreter(argv) is not None


def interpreter(argv: list[str]) -> list[str] | None:
    """The command of the Python in a kernel's command, with its own options; None where it is another one."""
    cut = _cut(argv)
    return None if cut is None else argv[: cut - 1]


def _cut(argv: list[str]) -> int | None:
    """Where the module's name is in ``python [options] -m ipykernel_launcher …``."""
    for index in range(1, len(argv) - 1):
        if argv[index] == "-m":
            return index + 1 if argv[index + 1] in ("ipykernel_launcher", "ipykernel") else None
        if not argv[index].startswith("-X") and argv[index] not in ("-E", "-I", "-s", "-S", "-B", "-O", "-u"):
            return None
    return None


def _unwanted(asked: asyncio.Future[Forked | None]) -> None:
    """End a kernel that came when nobody waited for it any more."""
    forked = None if asked.cancelled() or asked.exception() else asked.result()
    if forked is not None:
        forked.kill()


class ForkProvisioner(LocalProvisioner):  # type: ignore[misc]
    """Jupyter's provisioner for kernels of this machine, whose process is forked where that can be done.

    Attributes:
        log_file: the file for what a kernel writes by itself; empty is where its server writes.
        preload: modules that its server imports besides. All kernels of a kernelspec then have one server,
            whatever their environments are.
    """

    log_file: str = ""
    preload: tuple[str, ...] = ()

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Fork the kernel, or start it in the usual way where there is no server for it."""
        cut = _cut(cmd)
        cwd = str(kwargs.get("cwd") or os.getcwd())
        forked = None
        if cut is not None:
            env, own = dict(kwargs["env"]), None
            if self.preload:
                env, own = {**os.environ, **self.kernel_spec.env}, env
            wanted = Wanted([cmd[cut], *cmd[cut + 1 :]], cwd, self.log_file, own)
            asked = asyncio.ensure_future(asyncio.to_thread(_fork, cmd[: cut - 1], env, self.preload, wanted))
            try:
                forked = await asyncio.shield(asked)
            except asyncio.CancelledError:
                asked.add_done_callback(_unwanted)
                raise
        if forked is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.process = forked
        self.pid = self.pgid = forked.pid
        self.cwd = cwd
        return self.connection_info
