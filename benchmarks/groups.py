"""The rows of the table, by group. A new group is a function here, or in a module of its own, in `GROUPS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks import forms as form_systems
from benchmarks import kernels, readers, servers, sweeps, systems
from benchmarks.harness import Lab
from benchmarks.report import Row, Target
from benchmarks.systems import KERNEL_PEERS, OURS, PEERS

__all__ = ["GROUPS"]

_CALLS = systems.__name__
_READERS = readers.__name__
_SERVERS = servers.__name__
_SWEEPS = sweeps.__name__


def calls(lab: Lab) -> Iterator[Row]:
    """A call in a process that called before."""
    for workload, what, target, finer in (
        ("trivial", "call, 8 trivial cells", Target("over", 30e-6), 1),
        ("many", "call, 500 cells", Target("ratio", 1.5), 1),
        ("work", "call, 60 ms of real work", Target("ratio", 1.02), 3),
    ):
        measured: tuple[str, ...] = ("exec", OURS, *PEERS)
        if workload != "trivial" and not lab.effort.kernel_peers:
            measured = tuple(name for name in measured if name not in KERNEL_PEERS)
        samples = lab.blocks(_CALLS, measured, workload, finer=finer)
        yield Row(what, target, "exec", OURS, samples, PEERS)


def first_call(lab: Lab) -> Iterator[Row]:
    """The first call in a new Python, import included."""
    samples = lab.first_calls(_CALLS, ("exec", OURS, *PEERS), "trivial")
    yield Row("first call in a new Python", Target("alone", 0.120), "exec", OURS, samples, PEERS)


def reading(lab: Lab) -> Iterator[Row]:
    """Reading a notebook file and its parameters."""
    samples = lab.blocks(_READERS, readers.SYSTEMS, "large")
    yield Row("read 20 MB and its parameters", Target("ratio", 1.3), "json.loads", OURS, samples, PEERS)


def imports(lab: Lab) -> Iterator[Row]:
    """The import, which every notebook that loads the extension waits for."""
    every = f"from {OURS} import PythonModel"
    codes = {
        "IPython": "import IPython",
        OURS: f"import {OURS}",
        every: every,
        "importnb": "import importnb",
        "execnb": "import execnb.shell",
        "nbclient": "import nbclient",
        "papermill": "import papermill",
    }
    samples = lab.scripts(codes)
    yield Row(f"import {OURS}", Target("ratio", 1.15), "IPython", OURS, samples, PEERS)
    yield Row("import its PythonModel", None, "IPython", every, samples, PEERS)


def memory(lab: Lab) -> Iterator[Row]:
    """What a call leaves behind in this process; tools that call in another one are left out."""
    # Flat: what the allocator moves by itself. Matplotlib leaves some with every figure, in bare exec too.
    flat = Target("over", 1000.0)
    number = f"{lab.effort.memory_calls:,}"
    here = ("exec", OURS, *(name for name in PEERS if name not in KERNEL_PEERS))
    samples = lab.memory(_CALLS, here, "trivial")
    yield Row(f"memory a call, {number} calls", flat, "exec", OURS, samples, PEERS, "B")
    recorded = f"{OURS}.run"
    samples = lab.memory(_CALLS, (*here, recorded), "figure")
    yield Row("memory a call, a figure left open", flat, "exec", OURS, samples, PEERS, "B")
    yield Row("memory a run, a figure left open", flat, "exec", recorded, samples, PEERS, "B")


def kernel_calls(lab: Lab) -> Iterator[Row]:
    """A call in a fresh kernel that is at hand, beside one request to a running kernel; and its parts."""
    floor, ours = "one request", "KernelModel"
    peers = KERNEL_PEERS if lab.effort.kernel_peers else ()
    samples = lab.blocks(kernels.__name__, (floor, ours, *kernels.PARTS, *peers), "trivial")
    yield Row("KernelModel call, 8 cells", Target("ratio", 3.0), floor, ours, samples, peers)
    for part in kernels.PARTS:
        yield Row(f"  {part}", None, floor, part, samples, ())


def rest(lab: Lab) -> Iterator[Row]:
    """A request, with one client and with eight, beside kernel_gateway, which is the floor here."""
    # a request of each in turn, and a block of new kernels ends after one
    peers = ("bare handler", "new kernel")
    samples = lab.blocks(_SERVERS, (OURS, "kernel_gateway", *peers), "trivial")
    yield Row("REST, a request, 1 client", Target("ratio", 0.5), "kernel_gateway", OURS, samples, peers)
    slowest = {name: sample.of_slowest() for name, sample in samples.items()}
    yield Row("the slowest of a hundred", None, "kernel_gateway", OURS, slowest, peers)
    many = f" x{servers.CLIENTS}"
    found = lab.blocks(_SERVERS, [name + many for name in (OURS, "kernel_gateway", *peers)], "trivial")
    samples = {name.removesuffix(many): sample for name, sample in found.items()}
    yield Row(
        "REST, 32 requests, 8 clients", Target("ratio", 1 / 1.5), "kernel_gateway", OURS, samples, peers
    )
    slowest = {name: sample.of_slowest() for name, sample in samples.items()}
    yield Row("the slowest of a hundred of them", None, "kernel_gateway", OURS, slowest, peers)
    samples = lab.memory(_SERVERS, (OURS, "kernel_gateway", "bare handler"), "trivial")
    what = f"memory a request, {lab.effort.memory_calls:,} requests"
    yield Row(what, None, "kernel_gateway", OURS, samples, peers, "B")


def sweeping(lab: Lab) -> Iterator[Row]:
    """Many calls on two processes: of real work, and of next to nothing."""
    slow = ("papermill",) if lab.effort.kernel_peers else ()
    for workload, span, target, beside in (
        ("work", 60, Target("ratio", 1.05), ()),
        ("longer", 100, None, slow),  # in one row is enough: it takes minutes
    ):
        samples = lab.blocks(_SWEEPS, ("pool", OURS, "serial", "Dask", *beside), workload)
        what = f"map, {sweeps.COUNTS[workload]} calls of {span} ms, {sweeps.WORKERS} processes"
        yield Row(what, target, "pool", OURS, samples, ("serial", "Dask", "papermill"))
    samples = lab.blocks(_SWEEPS, ("serial", OURS, "pool", "Dask"), "trivial")
    what = f"map, {sweeps.COUNTS['trivial']:,} trivial calls"
    yield Row(what, Target("ratio", 1.5), "serial", OURS, samples, ("pool", "Dask"))
    for count in sweeps.GROWTH if lab.effort.kernel_peers else sweeps.GROWTH[:1]:
        names = {f"{name}, {count}": name for name in ("serial", OURS, "Dask")}
        found = lab.blocks(_SWEEPS, names, "trivial")
        samples = {names[name]: sample for name, sample in found.items()}
        yield Row(f"  a call of {count:,}", None, "serial", OURS, samples, ("pool", "Dask"))
    if lab.effort.kernel_peers:
        sweep = f"{OURS}, 100"
        samples = lab.memory(_SWEEPS, ("serial, 100", sweep), "trivial", most=200)
        yield Row("memory a sweep of 100 calls", None, "serial, 100", sweep, samples, (), "B")


def forms(lab: Lab) -> Iterator[Row]:
    """Building a form, a click, and a visit of a page."""
    module = form_systems.__name__
    for what, target, floor, ours in (
        ("a form of 10 parameters", Target("ratio", 2.0), "interactive", "form"),
        ("a form of 100 parameters", None, "interactive, 100", "form, 100"),
        ("from click to result", None, "run", "click"),
        ("Voila: first field visible", Target("ratio", 1.1), "widgets", "dashboard"),
    ):
        samples = lab.blocks(module, (floor, ours), "trivial")
        yield Row(what, target, floor, ours, samples, ())


#: What ``python -m benchmarks [GROUP ...]`` knows.
GROUPS: dict[str, Callable[[Lab], Iterator[Row]]] = {
    "call": calls,
    "first": first_call,
    "read": reading,
    "import": imports,
    "memory": memory,
    "kernel": kernel_calls,
    "rest": rest,
    "map": sweeping,
    "forms": forms,
}
