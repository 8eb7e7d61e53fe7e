"""What restified_magics does, shown on the notebooks of this folder: ``python examples/demo.py``.

It says what it does as it goes, takes about a quarter of a minute, and writes to temporary folders only.
"""

from __future__ import annotations

import code
import contextlib
import io
import os
import pathlib
import statistics
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from typing import Any, NoReturn

EXAMPLES = pathlib.Path(__file__).resolve().parent
CALLS, ROUNDS = 100, 50


def main() -> None:
    """Show a call from a notebook, a call from Python, the way back to a notebook, and the cost of a call."""
    with tempfile.TemporaryDirectory(prefix="restified-demo-settings-", ignore_cleanup_errors=True) as folder:
        keep_settings_in(pathlib.Path(folder))
        os.chdir(EXAMPLES)
        say("restified_magics: a notebook is a function.")
        say(f"The notebooks that are used here are in {EXAMPLES}.")
        call_from_a_notebook()
        session = Session()
        call_from_python(session)
        back_to_a_notebook(session)
        cost_of_a_call(session)
    say("Done. examples/README.md says what else there is to open.")


def keep_settings_in(folder: pathlib.Path) -> None:
    """Point Jupyter, IPython and matplotlib to `folder`, so that nothing is written into the user's home."""
    for name in (
        "IPYTHONDIR",
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "MPLCONFIGDIR",
    ):
        os.environ[name] = str(folder / name.lower())
    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"  # else jupyter_core warns that it will be the default
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # else the kernel's debugger warns at its start


# ------------------------------------------------------------------- the parts


def call_from_a_notebook() -> None:
    """Execute a View in a kernel, and show what came of its cells."""
    title("1. A notebook calls another notebook")
    say("fibonacci_view.ipynb calls fibonacci.ipynb. It is executed in a Jupyter kernel of its own …")
    import nbclient  # here, as the settings must stand before anything of Jupyter is imported
    import nbformat

    view = nbformat.read(EXAMPLES / "fibonacci_view.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        view,
        kernel_name="python3",
        timeout=120,
        resources={"metadata": {"path": str(EXAMPLES)}},
        extra_arguments=["--log-level=ERROR"],  # it would warn that programs of this machine may listen
    )
    started = time.perf_counter()
    # without MPLBACKEND the kernel chooses for itself how figures are drawn
    client.execute(env={name: value for name, value in os.environ.items() if name != "MPLBACKEND"})
    cells = {cell["id"]: cell for cell in view.cells}
    for shown in ("call", "cell-form", "error", "table", "plot"):
        print(indented(cells[shown]["source"], "In:  "))
        print(indented("\n".join(map(as_text, cells[shown]["outputs"])), "Out: "), end="\n\n")
    if "6765" not in as_text(cells["call"]["outputs"][0]):
        give_up("the call in fibonacci_view.ipynb did not return 6765")
    say(f"That was a whole kernel, started and ended, in {time.perf_counter() - started:.1f} s.")


def call_from_python(session: Session) -> None:
    """Call Models from plain Python: values, and errors."""
    title("2. Plain Python calls the same notebook")
    os.environ["MPLBACKEND"] = "Agg"  # figures are drawn for files, and no window opens
    session.enter("from restified_magics import PythonModel")
    session.enter("fibonacci = PythonModel('fibonacci.ipynb')")
    session.enter("fibonacci(n=20)", gives=6765)
    session.enter("fibonacci()", gives=610)
    say("A value that the notebook does not take is refused before a cell is run:")
    session.enter("fibonacci(n='twenty')", raises="ParameterError")
    session.enter("fibonacci(m=20)", raises="ParameterError")
    say("A larger notebook: it reads a CSV file beside it with pandas, draws, and returns a DataFrame.")
    session.enter("sales = PythonModel('sales.ipynb')")
    session.enter("sales(region='South', since='2025-03-01', until='2025-05-31', top=2)")
    say("An error in one of its cells names the cell and the line:")
    session.enter("sales.run({'until': '2024-12-31'})", raises="CellError")


def back_to_a_notebook(session: Session) -> None:
    """Save executed notebooks: of a call that ended well, and of one that failed."""
    title("3. And back to a notebook")
    say("A call can be kept as a notebook, with its parameters filled in, its outputs and its figure:")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="restified-demo-"))
    session.locals["folder"] = folder
    session.enter("result = sales.run({'region': 'South', 'top': 2})")
    session.enter("str(result.save(folder / 'sales-south.ipynb'))")
    say("So can the one that failed, up to the failure. That is where one goes on to see what is wrong:")
    session.enter("str(error.result.save(folder / 'sales-failed.ipynb'))")
    for name, expected in (("sales-south", '"image/png"'), ("sales-failed", '"error"')):
        if expected not in (folder / f"{name}.ipynb").read_text(encoding="utf-8"):
            give_up(f"{name}.ipynb has no output with {expected}")


def cost_of_a_call(session: Session) -> None:
    """Lay the time of a call beside that of the same code in a function, in rounds that take turns."""
    title("4. What a call costs")
    say(
        "fibonacci_function.py has the code of fibonacci.ipynb refactored by hand. Both are called with n=20."
    )
    sys.dont_write_bytecode = True  # this import shall leave no __pycache__ among the examples
    from fibonacci_function import fibonacci

    execute = session.locals["fibonacci"].execute
    if execute({"n": 20}) != fibonacci(20):
        give_up("the notebook and the function differ")
    times: dict[str, list[float]] = {"the function": [], "the notebook": []}
    for _ in range(ROUNDS):
        times["the function"].append(seconds(lambda: fibonacci(20)))
        times["the notebook"].append(seconds(lambda: execute({"n": 20})))
    medians = {name: statistics.median(taken) * 1e6 for name, taken in times.items()}
    for name, microseconds in medians.items():
        print(f"    {name}  {microseconds:8.1f} µs a call")
    print()
    more = medians["the notebook"] - medians["the function"]
    say(
        f"To call the notebook takes {more:.0f} µs more than to call the function. Of a notebook that works "
        f"for a tenth of a second, this is {more / 1000:.2g} %."
    )


def seconds(call: Callable[[], object]) -> float:
    """The time of one call, as the mean of `CALLS`."""
    started = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - started) / CALLS


# ------------------------------------------------------------------ its voice


class Session(code.InteractiveInterpreter):
    """A Python prompt that types for itself, and shows of an error what its last lines would say."""

    def __init__(self) -> None:
        super().__init__({"__name__": "__console__"})
        self.locals: dict[str, Any]
        self._raised: BaseException | None = None
        self._value: Any = None

    def enter(self, source: str, *, gives: object = None, raises: str = "") -> None:
        """Type a line. The demo ends where it does not give, or not raise, what is expected."""
        print(indented(source, ">>> "), flush=True)
        self._raised = self._value = None
        printed = io.StringIO()
        before, sys.displayhook = sys.displayhook, self._show
        try:
            with contextlib.redirect_stdout(printed):
                self.runsource(source)
        finally:
            sys.displayhook = before
        if printed.getvalue():
            print(indented(printed.getvalue().rstrip()), end="\n\n")
        if type(self._raised).__name__ != (raises or "NoneType"):
            give_up(f"{source} raised {self._raised!r}")
        if gives is not None and self._value != gives:
            give_up(f"{source} gave {self._value!r}, and not {gives!r}")

    def showtraceback(self) -> None:
        """Show the error in short, and keep it as `error`."""
        self.locals["error"] = self._raised = sys.exception()
        print(f"{type(self._raised).__name__}: {self._raised}")

    def _show(self, value: object) -> None:
        self._value = value
        if value is not None:
            print(value)


def as_text(output: Any) -> str:
    """An output of a cell, as far as a terminal can show it."""
    if output["output_type"] == "stream":
        return str(output["text"]).rstrip()
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}"
    data = output["data"]
    if "image/png" in data:
        return f"[a figure, PNG of {len(data['image/png']) * 3 // 4000} kB]"
    return str(data["text/plain"])


def indented(text: str, prompt: str = "") -> str:
    """`text` four columns in, its first line after the prompt."""
    first, *others = text.split("\n")
    lines = [prompt + first, *(" " * len(prompt) + line for line in others)]
    return "\n".join(f"    {line}".rstrip() for line in lines)


def title(text: str) -> None:
    """Begin a part."""
    print(f"\n{text}\n{'-' * len(text)}\n")


def say(text: str) -> None:
    """Print a paragraph."""
    print(textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False), end="\n\n", flush=True)


def give_up(reason: str) -> NoReturn:
    """End with a message and an exit code that says so."""
    raise SystemExit(f"The demo found something wrong: {reason}")


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    main()
