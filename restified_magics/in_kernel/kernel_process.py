"""A kernel: its process, started by Jupyter's provisioner, and the conversation with it."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.manager import AsyncKernelManager

from restified_magics.core.deadline import GRACE, Deadline
from restified_magics.core.process_tree import end_tree, how_it_ended
from restified_magics.errors import KernelDied
from restified_magics.in_kernel.fork_server import ForkProvisioner, can_fork
from restified_magics.in_kernel.keeper import keeper
from restified_magics.in_kernel.kernel_connection import Connection, ForMessages, Message, context
from restified_magics.in_kernel.kernel_specs import quiet
from restified_magics.in_kernel.mark import CallMark
from restified_magics.in_kernel.steps import MOMENT, Steps, drive_async
from restified_magics.in_kernel.warden import warden

__all__ = ["Kernel", "TimeIsUp"]

_LOST = 30.0  # seconds without any output after the reply: what comes at once, but on a busy machine, is lost
_LONGEST = 90  # characters: the name of a socket in the file system may not be much longer
_ON_IPC = (
    "ipykernel",
    "bash_kernel",
    "IRkernel",
)  # kernels whose sockets need no ports, that another may take

Hear = Callable[[Message], None]


_homes: dict[int, str] = {}
_making = threading.Lock()


def _home() -> str:
    """The folder of this process for those of its kernels, which goes away with it, however it ends."""
    with _making:
        home = _homes.get(os.getpid())
        if home is None or not os.path.isdir(home):
            home = _homes[os.getpid()] = tempfile.mkdtemp(prefix="restified-")
            watching = warden()
            if watching is not None:
                watching.watch(0, home)
            else:
                atexit.register(shutil.rmtree, home, ignore_errors=True)
        return home


class TimeIsUp(Exception):  # noqa: N818 - who asked makes an error of it
    """The deadline of a request has passed."""


class Kernel:
    """A running kernel. One thread at a time talks with it.

    Attributes:
        name: of its kernelspec.
        info: what it says of itself, the content of a ``kernel_info_reply``.
        usable: False once it cannot be expected to answer any more.
        mark: where a call in it is; a kernel that knows nothing of it writes nothing there.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.info: dict[str, Any] = {}
        self.usable = True
        self.closing = False
        self._folder = tempfile.mkdtemp(prefix="k", dir=_home())
        self.mark = CallMark(self.file("mark"))
        self._manager = AsyncKernelManager(
            kernel_name=name,
            connection_file=os.path.join(self._folder, "kernel.json"),
            context=zmq.asyncio.Context.shadow(context()),
            log=quiet,
        )
        self._connection: Connection | None = None
        self._ended: int | None = None
        self._group: int | None = None
        self._poll: concurrent.futures.Future[int | None] | None = None
        self._gone = False

    # --------------------------------------------------------------- starting

    @classmethod
    async def start(
        cls,
        name: str,
        *,
        cwd: str,
        env: Mapping[str, str],
        timeout: float,
        prepare: Callable[[Kernel], Steps[None]],
    ) -> Kernel:
        """Start a kernel and wait until it answers.

        Args:
            name: of the kernelspec.
            cwd: its folder.
            env: its environment.
            timeout: seconds that it may take.
            prepare: steps that make it ready for calls.

        Raises:
            KernelDied: it could not be started, ended at once, or took longer.
        """
        kernel = cls(name)
        try:
            async with asyncio.timeout(timeout):
                await kernel._launch(cwd, env)
                await drive_async(kernel._until_it_answers())
                await drive_async(prepare(kernel))
        except TimeoutError:
            reason = f"did not answer within {timeout:g} s. Give it longer by start_timeout="
            error = kernel._failure(reason)
            await kernel.end()
            raise error from None
        except BaseException:
            await kernel.end()
            raise
        return kernel

    async def _launch(self, cwd: str, env: Mapping[str, str]) -> None:
        manager = self._manager
        spec = manager.kernel_spec
        arguments: list[str] = []
        if any("ipykernel" in part for part in spec.argv):
            arguments = ["--HistoryManager.enabled=False"]  # what a call runs is nobody's history
        prefix = os.path.join(self._folder, "s")
        if zmq.has("ipc") and len(prefix) < _LONGEST and any(each in " ".join(spec.argv) for each in _ON_IPC):
            manager.transport, manager.ip = "ipc", prefix
        log_file = os.path.join(self._folder, "log")
        if spec.language == "R":
            env = {**env, "TMPDIR": self._folder}  # a killed R leaves the folder of its session
        if spec.language == "bash":
            env = {
                **env,
                "HISTFILE": os.devnull,
            }  # else what calls run is in the history of the user's shells
        if can_fork(spec.argv) and "kernel_provisioner" not in spec.metadata:
            provisioner = ForkProvisioner(kernel_id=manager.kernel_id, kernel_spec=spec, parent=manager)
            manager.provisioner, provisioner.log_file = provisioner, log_file
        with open(log_file, "wb") as log:
            try:
                await manager.start_kernel(
                    cwd=cwd, env=dict(env), stdout=log, stderr=subprocess.STDOUT, extra_arguments=arguments
                )
            except OSError as error:
                raise self._failure(
                    f"did not start: its program {spec.argv[0]!r} cannot be run ({error.strerror or error}). "
                    f"Install it, or correct {os.path.join(spec.resource_dir, 'kernel.json')}"
                ) from error
        self._watch()
        form = "{}://{}-{}" if manager.transport == "ipc" else "{}://{}:{}"
        ports = {"shell": manager.shell_port, "iopub": manager.iopub_port, "control": manager.control_port}
        urls = {name: form.format(manager.transport, manager.ip, port) for name, port in ports.items()}
        self._connection = Connection(urls, manager.session.key)

    def _watch(self) -> None:
        process = getattr(self._manager.provisioner, "process", None)
        if process is None:
            return
        self._group = getattr(self._manager.provisioner, "pgid", None)
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._ended = os.pidfd_open(process.pid)
        watching = warden()
        if watching is not None and self._group:
            watching.watch(self._group, self._folder)

    def _until_it_answers(self) -> Steps[None]:
        """Ask until both channels have answered: one that connects late has missed what was said before."""
        while True:
            heard: list[Message] = []
            reply = yield from self.ask("kernel_info_request", {}, hear=heard.append, patience=0.05)
            self.info = reply["content"]
            if heard:
                return

    # ---------------------------------------------------------------- talking

    def ask(
        self,
        kind: str,
        content: dict[str, Any],
        *,
        hear: Hear,
        look: Callable[[], None] = lambda: None,
        deadline: Deadline | None = None,
        buffers: Sequence[bytes | memoryview] = (),
        patience: float = _LOST,
        former: Collection[str] = (),
    ) -> Steps[Message]:
        """Send a request and hear all that it puts out; return the reply.

        A wait that is interrupted, or a deadline that has passed, interrupts the kernel, which has
        `GRACE` seconds to end in order; then it is not `usable` any more.

        Args:
            kind: the message's type.
            content: its content.
            hear: gets each message that the request puts out.
            look: is called while the kernel is busy, some times a second.
            deadline: when it is interrupted.
            buffers: binary parts of the message.
            patience: seconds to wait for the end of the outputs once the reply is there; where it is given,
                their end may be lost.
            former: the ids of requests that have ended, of which what is printed late is heard as well.

        Raises:
            KernelDied: the kernel ended, or its outputs were lost.
            TimeIsUp: the deadline has passed.
        """
        connection = self._connection
        if connection is None:
            raise self._failure("was closed")
        answers = _Answers(connection.send(kind, content, buffers=buffers), hear, former)
        stopped: BaseException | None = None
        until = None if deadline is None else deadline.at
        self.usable, usable = False, self.usable
        heard = time.monotonic()
        while not answers.complete:
            ends = until if answers.reply is None or stopped is not None else heard + patience
            try:
                look()
                left = MOMENT if ends is None else min(MOMENT, ends - time.monotonic())
                yield ForMessages(connection, self._ended, left)
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - raised again, when the kernel has ended in order
                if stopped is not None:
                    raise stopped from None  # a second Ctrl-C: it does not wait for the first
                stopped, until = error, self._interrupted(connection)
            if answers.take(connection.received()):
                heard = time.monotonic()
            elif answers.reply is None:
                if self.has_ended():
                    raise stopped or self._failure(self._how_it_ended())
            elif time.monotonic() >= heard + patience or self.has_ended():
                if patience < _LOST:
                    break
                # the value may be among what was lost
                raise self._failure("answered, but the end of its outputs never came")
            if stopped is None and answers.reply is None and deadline is not None and deadline.passed:
                stopped, until = TimeIsUp(), self._interrupted(connection)
            elif stopped is not None and until is not None and time.monotonic() >= until:
                raise stopped
        self.usable = usable
        if stopped is not None:
            raise stopped
        assert answers.reply is not None  # noqa: S101 - the loop ends with it
        return answers.reply

    def _interrupted(self, connection: Connection) -> float:
        self.mark.stop()  # seen by a call between its cells, one of which may have caught the interrupt
        if self._manager.kernel_spec.interrupt_mode == "message":
            connection.send("interrupt_request", {}, channel="control")
        else:
            keeper().submit(self._signal(signal.SIGINT))
        return time.monotonic() + GRACE

    async def _signal(self, number: int) -> None:
        provisioner = self._manager.provisioner
        if provisioner is not None:
            with contextlib.suppress(OSError):
                await provisioner.send_signal(number)

    def file(self, name: str) -> str:
        """The path of a file in the kernel's own folder, which goes away with it."""
        return os.path.join(self._folder, name)

    def has_ended(self) -> bool:
        """Whether its process has ended."""
        if self._gone:
            return True
        if self._ended is not None:
            poller = zmq.Poller()
            poller.register(self._ended, zmq.POLLIN)
            self._gone = bool(poller.poll(0))
        else:  # not on Linux, or not on this machine: it can only be asked
            self._gone = self._exit_code() is not None
        return self._gone

    def _exit_code(self) -> int | None:
        """What its process ended with, or None while it runs."""
        provisioner = self._manager.provisioner
        process = getattr(provisioner, "process", None)
        if process is not None:
            code: int | None = process.poll()
            return code
        if provisioner is None or not provisioner.has_process:
            return 0
        if self._poll is None:
            self._poll = keeper().submit(provisioner.poll())
        if not self._poll.done():
            return None
        code, self._poll = self._poll.result(), None
        return code

    def _how_it_ended(self) -> str:
        if self.closing:
            return "was closed during the call"
        process = getattr(self._manager.provisioner, "process", None)
        # its end is seen before its parent has been told
        return how_it_ended((self._exit_code() if process is None else process.wait(1.0)) or 0)

    def _failure(self, reason: str) -> KernelDied:
        return KernelDied(self.name, reason=f"the kernel {self.name!r} {reason}", said=self._said())

    def _said(self) -> str:
        """The last lines that the program wrote by itself."""
        try:
            with open(os.path.join(self._folder, "log"), "rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - 4000))
                text = log.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-12:])

    # ----------------------------------------------------------------- ending

    def close(self) -> None:
        """Let go of the sockets; by who talked last."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._ended is not None:
            os.close(self._ended)
            self._ended = None

    async def kill(self) -> None:
        """End the process and all that it has started; its end is seen by who talks with it."""
        self.closing = True
        provisioner = self._manager.provisioner
        if provisioner is None or not provisioner.has_process:
            return
        self._kill_group()
        await provisioner.kill()
        for _ in range(20):  # it takes some milliseconds, and the provisioner would look ten times a second
            if await provisioner.poll() is not None:
                break
            await asyncio.sleep(0.005)

    async def end(self) -> None:
        """Kill it, and leave nothing of it behind."""
        self.usable = False
        self.close()
        await self.kill()
        provisioner = self._manager.provisioner
        if provisioner is not None:
            await provisioner.wait()
            with contextlib.suppress(Exception):  # ports, the connection file: what there may be of them
                await self._manager.cleanup_resources()
        watching = warden()
        if watching is not None and self._group:
            watching.forget(self._group)
        self.mark.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _kill_group(self) -> None:
        if self._group and hasattr(os, "killpg"):
            end_tree(self._group)


class _Answers:
    """What comes of one request: its reply, and all that it puts out until the kernel is idle."""

    def __init__(self, identity: str, hear: Hear, former: Collection[str]) -> None:
        self._identity = identity
        self._former = former
        self._hear = hear
        self._idle = False
        self.reply: Message | None = None

    @property
    def complete(self) -> bool:
        return self.reply is not None and self._idle

    def take(self, received: Iterable[tuple[str, Message]]) -> bool:
        """Take what is of this request; whether there was anything at all."""
        any_came = False
        for channel, message in received:
            any_came = True
            parent = message["parent_header"].get("msg_id")
            if parent != self._identity:
                if parent in self._former and message["msg_type"] == "stream":
                    self._hear(message)
                continue
            if channel == "shell":
                self.reply = message
                continue
            if message["msg_type"] == "status" and message["content"].get("execution_state") == "idle":
                self._idle = True
            self._hear(message)
        return any_came
