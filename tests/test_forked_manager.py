"""Kernels for the pages of a server, forked from a process that has imported widgets: as those that Jupyter starts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from rest_server import is_running

from restified_magics.in_kernel import fork_server
from restified_magics.in_kernel.forked_manager import ForkedKernelManager, warm_up

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")


@contextlib.asynccontextmanager
async def started(folder, **environ):
    """A kernel with these variables in its environment, and a function that gives what a cell prints."""
    manager = ForkedKernelManager(kernel_name="python3")
    await manager.start_kernel(cwd=str(folder), env={**os.environ, **environ})
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)

    async def printed(source, texts=None):
        texts = [] if texts is None else texts
        await client.execute_interactive(
            source, timeout=60, output_hook=lambda message: texts.append(message["content"].get("text", ""))
        )
        return "".join(texts).strip()

    try:
        yield manager, printed
    finally:
        client.stop_channels()
        await manager.shutdown_kernel()


async def until(condition):
    """Wait for what nothing tells of: the end of a process."""
    latest = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < latest
        await asyncio.sleep(0.01)


def test_each_has_its_own_environment_and_they_share_a_server(tmp_path):
    """What a visitor's address says is for that kernel alone; both were forked from one process."""

    async def main():
        warm_up()
        async with (
            started(tmp_path, QUERY_STRING="n=1") as (_, first),
            started(tmp_path, QUERY_STRING="n=2") as (_, second),
        ):
            source = "import os; print(os.environ['QUERY_STRING'], os.getppid(), os.getcwd())"
            told = [(await each(source)).split() for each in (first, second)]
            assert [each[0] for each in told] == ["n=1", "n=2"]
            assert told[0][1] == told[1][1] != str(os.getpid())
            assert told[0][2] == str(tmp_path)

    asyncio.run(main())


def test_what_cannot_be_forked_is_not_warmed_up(monkeypatch, tmp_path):
    """A server starts also where there is no such kernelspec, or its file is broken."""
    (tmp_path / "kernels" / "broken").mkdir(parents=True)
    (tmp_path / "kernels" / "broken" / "kernel.json").write_text("{")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    before = dict(fork_server._servers)
    for name in ("no-such-kernel", "broken", "bash"):
        warm_up(name)
    assert fork_server._servers == before


def test_widgets_are_there_and_no_name_is(tmp_path):
    """The kernel knows ipywidgets' messages, and its cells start with no name that nobody has given."""

    async def main():
        async with started(tmp_path) as (_, printed):
            assert await printed("print('ipywidgets' in globals(), 'restified_magics' in globals())") == (
                "False False"
            )
            assert "jupyter.widget.control" in await printed(
                "print(list(get_ipython().kernel.comm_manager.targets))"
            )
            modules = "('ipywidgets', 'restified_magics.widgets.dashboard')"
            assert await printed(f"import sys; print([name in sys.modules for name in {modules}])") == (
                "[True, True]"
            )

    asyncio.run(main())


def test_restart_interrupt_and_the_end(tmp_path):
    """A kernel is interrupted and started again as any other, and at its end runs what wants to be run then."""

    async def main():
        async with started(tmp_path) as (manager, printed):
            first = int(await printed("import os; print(os.getpid())"))
            texts = []
            waiting = asyncio.ensure_future(printed("import time\nprint(1)\ntime.sleep(600)", texts))
            await until(lambda: "1\n" in texts)
            await manager.interrupt_kernel()
            assert await waiting == "1"
            await manager.restart_kernel()
            await until(lambda: not is_running(first))
        async with started(tmp_path) as (_, printed):
            last = int(await printed("import os; print(os.getpid())"))
            assert last != first
            await printed("import atexit; atexit.register(lambda: open('ended', 'w').close())")
        await until(lambda: not is_running(last))
        assert (tmp_path / "ended").exists()

    asyncio.run(main())


def test_kernels_end_with_the_process_that_has_them(tmp_path):
    """Also where that is killed, which nobody can tell them."""
    source = """
        import asyncio, sys
        from restified_magics.in_kernel.forked_manager import ForkedKernelManager

        async def main():
            manager = ForkedKernelManager(kernel_name="python3")
            await manager.start_kernel()
            print(manager.provisioner.pid, flush=True)
            await asyncio.sleep(3600)

        asyncio.run(main())
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source)], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        pid = int(process.stdout.readline())
        assert is_running(pid)
        process.send_signal(signal.SIGKILL)
    asyncio.run(until(lambda: not is_running(pid)))
