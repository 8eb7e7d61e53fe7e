"""A Model as a form: fields for its parameters, Run and Cancel, its result and outputs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import ipywidgets

from restified_magics.core.model import Model
from restified_magics.core.result import Result
from restified_magics.core.runs import Run
from restified_magics.in_process.python_model import PythonModel
from restified_magics.signature.parameters import MISSING
from restified_magics.widgets.address import fill_from_address, in_voila
from restified_magics.widgets.bar import bar_state
from restified_magics.widgets.controller import Controller
from restified_magics.widgets.downloads import Download, downloads
from restified_magics.widgets.entries import FileEntry
from restified_magics.widgets.inputs import Inputs
from restified_magics.widgets.panel import Panel
from restified_magics.widgets.panels import Panels
from restified_magics.widgets.result_views import ResultViews
from restified_magics.widgets.without_source import without_folders

__all__ = ["Form", "bind"]

#: What a page says where it could not be done what a visitor has asked for.
_UNDONE = {
    "run": "the run could not begin",
    "fill": "the values could not be filled in",
    "preset": "not all of the preset could be filled in",
    "kept": "not all of the preset could be filled in",
    "again": "the values of that run could not be filled in",
    "download": "the download could not be made",
    "upload": "the file could not be taken",
}


class Form(ipywidgets.VBox):  # type: ignore[misc]
    """A form for a Model. Made by :meth:`Model.form`, which describes the arguments.

    Attributes:
        model: the Model.
        controller: its state machine.

    Example:
        >>> import restified_magics
        >>> form = restified_magics.PythonModel("examples/fibonacci.ipynb").form()
        >>> form.set(n=20)
        >>> form.run(), form.wait(60), form.value
        (True, True, 6765)
    """

    controller: Controller = None  # type: ignore[assignment]
    _places_widgets = True  # the author's own, between the panels

    def __init__(  # noqa: PLR0913 - the options of a form
        self,
        model: Model,
        overrides: Mapping[str, Any] | None = None,
        *,
        values: Mapping[str, Any] | None = None,
        run: Literal["button", "auto"] | None = None,
        debug: bool = False,
        timeout: float | None = None,
        presets: Mapping[str, Mapping[str, Any]] | None = None,
        run_from_url: bool | None = None,
        tracebacks: bool | None = None,
    ) -> None:
        self.model = model
        options = model.notebook.fields.title_options
        run = run or ("auto" if options.get("run") == "auto" else "button")
        if run not in ("button", "auto"):
            raise ValueError(f"run must be 'button' or 'auto', not {run!r}")
        model._limit(timeout)  # one that can never be is refused now, and not by each run
        self._debug = debug
        self._tracebacks = debug or (not in_voila() if tracebacks is None else tracebacks)
        self._inputs = Inputs(model, overrides or {}, values or {})
        self._presets = {
            name: self._inputs.checked_preset(name, preset) for name, preset in (presets or {}).items()
        }
        self._title = without_folders(model.notebook.title)  # a notebook without a title may have a path
        self._keep = f"{self._title}: {', '.join(self._inputs)}"
        self._attempt = 0
        self._reveals = False
        self._linked: dict[str, tuple[Form, Callable[[Any], object]]] = {}
        self._offers: tuple[Run | None, list[Download]] = (None, [])
        self._shown: Any = None
        self._showing = threading.RLock()
        self.controller = Controller(
            model,
            self._inputs.read,
            auto=run == "auto",
            timeout=timeout,
            keepsake=self._inputs.keepsake,
        )
        # widgets that another process made are none of this page's
        self._views = ResultViews(tracebacks=self._tracebacks, live=isinstance(model, PythonModel))
        self._panels = Panels(
            self._inputs,
            name=self._title,
            bar=self._bar(),
            places_widgets=self._places_widgets,
            on_change=self.controller.changed,
            on_message=self._on_message,
        )
        super().__init__([*self._panels.children, *self._views.widgets])
        self.add_class("restified-form")
        may_run = options.get("run-from-url") is True if run_from_url is None else run_from_url
        address = fill_from_address(self._inputs)
        self._reveals = address.wrong
        if address.wrong:
            self.controller.problems = self._inputs.untold()
        self._inputs.on_change(self.controller.changed)  # not before: what the address fills in runs nothing
        self._panels.refresh()
        self.controller.watch(self._show)
        self._show()
        if address.run and may_run and not address.wrong:
            self.run()

    # ---------------------------------------------------------------- for its author

    @property
    def state(self) -> str:
        """``"idle"``, ``"running"``, ``"done"``, ``"failed"`` or ``"cancelled"``."""
        return self.controller.state

    @property
    def result(self) -> Result | None:
        """The `Result` of the last run, or of the one that runs."""
        return self.controller.result

    @property
    def value(self) -> Any:
        """The value of the last run that went well, or None."""
        result = self.controller.result
        return result.value if result is not None and self.state == "done" else None

    @property
    def values(self) -> dict[str, Any]:
        """The values that a run would be given; defaults that nobody changed are not among them."""
        return dict(self._inputs.read().values)

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong with the values, by parameter."""
        return dict(self._inputs.read().problems)

    def set(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """Fill fields.

        Raises:
            ValueError: a field cannot hold its value. The others are filled.
            ParameterError: there is no such parameter. Nothing is filled.
        """
        problems = self._inputs.fill({**(values or {}), **named})
        self._panels.refresh()
        self.controller.changed()
        if problems:
            raise ValueError("; ".join(problems))

    def reset(self) -> None:
        """Put all fields back to what they began with."""
        self._inputs.reset()
        self._panels.refresh()
        self.controller.reset()

    def run(self) -> bool:
        """Run the Model on the values as they are, as a press of Run does; tell whether a run began."""
        self._attempt += 1
        began = self.controller.start()
        self._show()
        return began

    def cancel(self) -> None:
        """End the run, as a press of Cancel does."""
        self.controller.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs, or so many seconds; tell whether it is so.

        Not in the same cell as somebody's click: a kernel that waits hears of none.
        """
        return self.controller.wait(timeout)

    def on_result(self, receiver: Callable[[Any], object]) -> Callable[[Any], object]:
        """Call a function with the value of each run that went well. Can be used as a decorator.

        It is called in the thread of the run. An exception that it raises is shown on the page and logged.
        """
        self.controller.on_result(receiver)
        return receiver

    def link(self, name: str, origin: Form, *, run: bool = True) -> Form:
        """Give a parameter the result of another form, whenever there is one.

        Args:
            name: the parameter, whose field is replaced by a line that says what it got.
            origin: the form whose result it gets.
            run: run this form then.

        Returns:
            This form, so that links can be chained.

        Raises:
            ValueError: the other form waits for the result of this one.
        """
        self._inputs.check_names([name])
        if origin._waits_for(self):
            raise ValueError(
                f"{name} would wait for the result of its own form. Link it to one that does not need it"
            )
        entry = self._inputs.link(name, origin._title)
        self._panels.respecify()

        def receive(value: Any) -> None:
            entry.set(value)
            self._panels.refresh()
            self.controller.changed()
            if run:
                self.controller.restart()  # the latest value wins, also over a run on a former one

        self._unlink(name)
        origin.on_result(receive)
        self._linked[name] = origin, receive
        return self

    def _waits_for(self, form: Form) -> bool:
        return self is form or any(origin._waits_for(form) for origin, _ in self._linked.values())

    def _unlink(self, name: str) -> None:
        if name in self._linked:
            origin, receive = self._linked.pop(name)
            origin.controller.forget(receive)

    def close(self) -> None:
        """End what runs, and take the form from the page."""
        if self.controller is not None:  # else it was never finished
            self.controller.close()
            for name in list(self._linked):
                self._unlink(name)
            self._inputs.close()
        for child in self.children:
            child.close()
        super().close()

    def _repr_keys(self) -> Any:
        return iter(())

    # ------------------------------------------------------------- from the page

    def _on_message(self, panel: Any, message: Any, buffers: Sequence[memoryview]) -> None:
        doing = message.get("do")
        try:
            if doing == "upload":
                self._do_upload(panel, message, buffers)
            elif doing in self._commands:
                self._commands[doing](self, message)
        except Exception as error:  # noqa: BLE001 - the page shows it, and the log has it
            self.controller.complain(_UNDONE.get(doing, f"{doing}"), error)
            self._show()

    def _do_run(self, message: Mapping[str, Any]) -> None:
        self._do_fill(message, quiet=True)
        self.run()

    def _do_fill(self, message: Mapping[str, Any], *, quiet: bool = False) -> None:
        self._inputs.take(message["values"])
        self._panels.refresh()
        if not quiet:
            self.controller.changed()

    def _do_kept(self, message: Mapping[str, Any]) -> None:
        problems = self._inputs.take_kept(message["values"])
        self._panels.refresh()
        self.controller.changed()
        if problems:
            raise ValueError("; ".join(problems))

    def _do_preset(self, message: Mapping[str, Any]) -> None:
        self.set(self._presets[message["name"]])

    def _do_again(self, message: Mapping[str, Any]) -> None:
        for past in self.controller.history:
            if past.number == message["number"]:
                self._do_fill({"values": past.keepsake})

    def _do_download(self, message: Mapping[str, Any]) -> None:
        for offer in self._downloads():
            if offer.what == message["what"]:
                self._panels.last.give_file(offer.name, offer.media_type, offer.content())

    _commands: Mapping[str, Callable[[Form, Any], object]] = {
        "run": _do_run,
        "fill": _do_fill,
        "preset": _do_preset,
        "kept": _do_kept,
        "again": _do_again,
        "download": _do_download,
        "cancel": lambda self, _message: self.cancel(),
        "reset": lambda self, _message: self.reset(),
        "ping": lambda self, _message: self._panels.last.answer(),
    }

    def _do_upload(self, panel: Panel, message: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        entry = self._inputs.get(message["field"])
        if isinstance(entry, FileEntry) and entry.hear(message, buffers):
            self._panels.refresh()
            if not entry.is_coming:
                panel.tell_of_upload(message["field"])
            self.controller.changed()

    # ---------------------------------------------------------------- to the page

    def _show(self) -> None:
        """Bring the page up to date, from any thread."""
        with self._showing:
            if self.controller.run is not None:
                try:
                    self._views.show(self.controller.run)
                except Exception as error:  # noqa: BLE001 - the bar below tells it
                    self.controller.complain("the result could not be shown", error)
            bar = self._bar()
            if bar != self._shown:
                self._shown = bar
                self._panels.last.bar = bar

    def _bar(self) -> dict[str, Any]:
        shown = bar_state(self.controller, self._inputs, tracebacks=self._tracebacks, unfolded=self._debug)
        offers = [{"what": offer.what, "label": offer.label} for offer in self._downloads()]
        return {
            **shown,
            "attempt": self._attempt,
            "reveal": self._reveals,
            "downloads": offers,
            "presets": list(self._presets),
            "keep": self._keep,
        }

    def _downloads(self) -> list[Download]:
        run = self.controller.run
        if run is None or run.state == "running":
            return []
        if self._offers[0] is not run:  # found out once: a value may be large
            self._offers = (run, [])
            self._offers = (run, downloads(self.model, run, source=self._tracebacks))
        return self._offers[1]


class _Wired(Form):
    """A form whose widgets are laid out by their author."""

    _places_widgets = False


def bind(
    model: Model,
    widgets: Mapping[str, Any],
    *,
    on_result: Callable[[Any], object] | None = None,
    run: Literal["button", "auto"] = "auto",
    timeout: float | None = None,
) -> Form:
    """A form around widgets that its author laid out. :meth:`Model.bind` describes the arguments."""
    bare = {name: ipywidgets.fixed(MISSING) for name in model.parameters if name not in widgets}
    form = _Wired(model, {**bare, **widgets}, run=run, timeout=timeout)
    if on_result is not None:
        form.on_result(on_result)
    return form
