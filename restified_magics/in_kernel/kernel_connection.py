"""The wire to a kernel: its shell and iopub sockets, requests, and waiting for what comes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import zmq
from jupyter_client.session import Session

from restified_magics.in_kernel.steps import MOMENT

__all__ = ["Connection", "ForMessages", "Message", "context"]

Message = dict[str, Any]

_RECONNECT = 5  # milliseconds: a kernel that starts binds its sockets at some moment of it
_contexts: dict[int, zmq.Context[zmq.Socket[bytes]]] = {}
_making = threading.Lock()


def context() -> zmq.Context[zmq.Socket[bytes]]:
    """One context for the process; one that was inherited by a fork belongs to the parent."""
    with _making:
        if os.getpid() not in _contexts:
            _contexts[os.getpid()] = zmq.Context()
        return _contexts[os.getpid()]


class Connection:
    """The client's end of a kernel's channels.

    Args:
        urls: the addresses of the channels ``shell``, ``iopub`` and ``control``.
        key: what messages are signed with.
    """

    def __init__(self, urls: dict[str, str], key: bytes) -> None:
        self._urls = urls
        self._session = Session(key=key)
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        self._open("iopub", zmq.SUB)
        self._open("shell", zmq.DEALER)

    def _open(self, channel: str, kind: int) -> zmq.Socket[bytes]:
        socket = self._sockets[channel] = context().socket(kind)
        socket.linger = 0
        socket.reconnect_ivl = _RECONNECT
        socket.rcvhwm = 0  # a publisher drops messages where a reader is slow, and ours must not
        if kind == zmq.SUB:
            socket.subscribe(b"")
        socket.connect(self._urls[channel])
        return socket

    def send(
        self,
        kind: str,
        content: dict[str, Any],
        *,
        channel: str = "shell",
        buffers: Sequence[bytes | memoryview] = (),
    ) -> str:
        """Send a request, and return the id by which its answers are known."""
        socket = self._sockets.get(channel) or self._open(channel, zmq.DEALER)
        message: Message = self._session.send(socket, kind, content, buffers=list(buffers))
        identity: str = message["header"]["msg_id"]
        return identity

    def received(self) -> Iterator[tuple[str, Message]]:
        """All messages that have come, with their channel; outputs before the reply that follows them."""
        for channel in ("iopub", "shell"):
            socket = self._sockets[channel]
            while True:
                try:
                    frames = socket.recv_multipart(zmq.NOBLOCK, copy=False)
                except zmq.Again:
                    break
                try:
                    _identities, parts = self._session.feed_identities(frames, copy=False)
                    message = self._session.deserialize(parts, copy=False)
                except (ValueError, KeyError, TypeError):
                    continue  # not signed with our key, or not a message at all
                yield channel, message

    def ready(self) -> bool:
        """Whether messages wait to be received."""
        return any(int(socket.get(zmq.EVENTS)) & zmq.POLLIN for socket in self.sockets)

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """The sockets that answers come by."""
        return [self._sockets["iopub"], self._sockets["shell"]]

    def close(self) -> None:
        """Close all sockets; twice does no harm."""
        for socket in self._sockets.values():
            socket.close()


class ForMessages:
    """Waits until a message has come, the kernel has ended, or for so many seconds.

    Args:
        connection: the kernel's channels.
        ended: a descriptor that is readable once the kernel's process has ended, or None.
        seconds: the longest wait, or None.
    """

    def __init__(self, connection: Connection, ended: int | None, seconds: float | None) -> None:
        self._connection = connection
        self._ended = ended
        self._seconds = seconds

    def block(self) -> None:
        poller = zmq.Poller()
        for socket in self._connection.sockets:
            poller.register(socket, zmq.POLLIN)
        if self._ended is not None:
            poller.register(self._ended, zmq.POLLIN)
        moment = MOMENT if self._seconds is None else min(MOMENT, self._seconds)
        poller.poll(int(max(0.0, moment) * 1000) + 1)

    async def wait(self) -> None:
        if self._connection.ready():
            return
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        descriptors = [int(socket.get(zmq.FD)) for socket in self._connection.sockets]
        if self._ended is not None:
            descriptors.append(self._ended)
        try:
            for descriptor in descriptors:
                loop.add_reader(descriptor, woken.set)
        except NotImplementedError:  # the usual loop of Windows watches no descriptors
            await asyncio.sleep(0.01)
            return
        try:
            if self._connection.ready():  # a change before the descriptor was watched is not told by it
                return
            # not `wait_for`: until Python 3.12 it loses a cancellation that comes together with a message
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await woken.wait()
        finally:
            for descriptor in descriptors:
                loop.remove_reader(descriptor)
