"""The source of parameters cells → Parameters. Nothing is executed, and no source makes it fail.

A cell is read in three steps: its statements and comments are told apart (`layout`), each assignment
gets the comments that belong to it (`assignments`), and what all of them say about a name becomes one
Parameter (here).

Where a comment belongs:

- after an assignment: its label ``[unit] (low..high step s)``. Of several statements on a line, it
  belongs to the last; of a statement of several lines, the comment after its end counts, else the
  one after its first line. Where one statement assigns several names, it is the help of each.
- directly above an assignment: its help; above several in a row: the title of their section, unless
  a heading has begun a section already.
- ``# ## Title``, ``# --- Title ---`` and ``#@markdown ## Title`` are headings. Their section goes on
  to the next one in the cell.
"""

from __future__ import annotations

import ast
import dataclasses
import datetime
import numbers
import pathlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

from restified_magics.core.telling import shorten
from restified_magics.signature.annotations import AnnotationReader
from restified_magics.signature.colab import ColabParam, colab_type
from restified_magics.signature.facts import facts, kinds, without_bounds
from restified_magics.signature.known_names import UnreadableError
from restified_magics.signature.parameters import MISSING, Parameter
from restified_magics.signature.plain_types import ends_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
from restified_magics.signature.assignments import Assignment, CellReader, Form, ParameterCell, Problem
from restified_magics.signature.comments import PARAM_MARK, Said, in_order
from restified_magics.signature.layout import UNPARSABLE, lay_out

__all__ = ["ParameterSet", "read_parameters"]

_Union: Any = Union


@dataclass(frozen=True)
class ParameterSet:
    """What the parameters cells of a notebook say.

    Attributes:
        parameters: by name, in the order of their first assignment.
        title: of the form, from ``#@title``, else empty.
        title_options: its options, for instance ``{"run": "auto"}``.
        description: text of ``#@markdown`` before the first parameter, else empty.
        problems: what could not be read; never more than a warning.
    """

    parameters: dict[str, Parameter] = field(default_factory=dict)
    title: str = ""
    title_options: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    problems: list[Problem] = field(default_factory=list)


def read_parameters(cells: Sequence[ParameterCell]) -> ParameterSet:
    """Read the parameters of a notebook.

    Where no cell is tagged but some have Colab's ``#@param`` comments, the assignments so marked are
    the parameters. Cells that are not tagged otherwise matter only for what they import, and for the
    Enum classes and type aliases that they define.

    Args:
        cells: all code cells that a call executes, in order.

    Example:
        >>> source = "# How wide it is.\\nwidth = 4.2  # Width [mm] (0..10 step 0.1)"
        >>> width = read_parameters([ParameterCell(0, source, tagged=True)]).parameters["width"]
        >>> width.default, width.label, width.unit, width.minimum, width.maximum, width.help
        (4.2, 'Width', 'mm', 0, 10, 'How wide it is.')
    """
    library = _Library(cells)
    tagged = [cell for cell in cells if cell.tagged]
    chosen = tagged or [cell for cell in cells if PARAM_MARK.search(cell.source)]
    found: dict[str, list[Assignment]] = {}
    form = Form()
    for cell in chosen:
        reader = CellReader(cell, form, only_marked=not tagged)
        for assignment in reader.assignments():
            found.setdefault(assignment.name, []).append(assignment)
    builder = _Builder(AnnotationReader(find=library.find), form.problems)
    parameters = {name: builder.build(name, assignments) for name, assignments in found.items()}
    form.problems.sort(key=lambda problem: (problem.cell, problem.line))
    return ParameterSet(parameters, form.title, form.options, "\n".join(form.description), form.problems)


class _Library:
    """The parsed cells, each parsed when it is first needed: most never are."""

    def __init__(self, cells: Sequence[ParameterCell]) -> None:
        self._cells = cells
        self._trees: dict[int, ast.Module] = {}

    def find(self, name: str) -> Iterator[ast.Module]:
        """The cells that may bind a name at their top level."""
        word = re.escape(name)
        binds = re.compile(
            rf"^[ \t]*(?:from|import)\b|\b(?:class|def|type)\s+{word}\b|^{word}\s*[:=]", re.MULTILINE
        )
        for at, cell in enumerate(self._cells):
            if (name in cell.source or "import *" in cell.source) and binds.search(cell.source):
                if at not in self._trees:
                    self._trees[at] = ast.Module(lay_out(cell.source, comments=False).statements, [])
                yield self._trees[at]


class _Builder:
    """Makes Parameters. What ranks highest counts: ``#@param``, annotation, ``# type:``, the value's type."""

    def __init__(self, reader: AnnotationReader, problems: list[Problem]) -> None:
        self._reader = reader
        self._problems = problems
        self._name, self._site = "", (0, 0, 0)

    def build(self, name: str, assignments: Sequence[Assignment]) -> Parameter:
        self._name, self._site = name, assignments[-1].site
        said = _merged(assignment.said for assignment in assignments)
        known: dict[str, Any] = {
            **{"label": said.text, "help": said.help, "unit": said.unit, "section": said.section},
            **{"minimum": said.minimum, "maximum": said.maximum, "step": said.step},
            "sites": frozenset(assignment.site for assignment in assignments),
        }
        known |= self._default(assignments)
        known |= self._annotation(assignments, said.type_text, known)
        if said.param is not None:
            known |= self._param(said.param, known)
        known |= self._without_odd_bounds(known)
        parameter = Parameter(name, **known)
        self._look_at_default(parameter)
        return parameter

    def _default(self, assignments: Sequence[Assignment]) -> dict[str, Any]:
        last = next((a for a in reversed(assignments) if a.value is not None), None)
        if last is None or last.value is None:
            return {}
        reason = "its value is unpacked from several"
        if not last.unpacked:
            try:
                value = self._reader.literal(last.value)
            except UnreadableError as error:
                reason = str(error)
            else:
                inferred = (
                    Any if value is None else pathlib.Path if isinstance(value, pathlib.Path) else type(value)
                )
                return {"default": value, "type": inferred, "choices": facts(inferred).choices}
        return {"expression": last.layout.text(last.value), "reason": f"the call works it out: {reason}"}

    def _annotation(
        self, assignments: Sequence[Assignment], comment: str, known: Mapping[str, Any]
    ) -> dict[str, Any]:
        written = next((a for a in reversed(assignments) if a.annotation is not None), None)
        node = written.annotation if written else None
        if written is None or node is None:
            if not comment:
                return {}
            try:
                return self._declared(self._reader.read(ast.Constant(comment)), comment, known)
            except UnreadableError as error:
                self._problem(
                    f"the type comment `{comment}` is not understood: {error}. "
                    "Write a type, as in # type: float"
                )
                return {"annotation": comment}
        quoted = isinstance(node, ast.Constant) and isinstance(node.value, str)
        shown = str(node.value) if quoted and isinstance(node, ast.Constant) else written.layout.text(node)
        try:
            return self._declared(self._reader.read(node), shown, known)
        except UnreadableError as error:
            reason = f"its type is shown and not enforced: {error}"
            both = f"{known['reason']}; {reason}" if known.get("reason") else reason
            return {"type": Any, "choices": None, "annotation": shown, "reason": both}

    def _declared(self, meant: Any, shown: str, known: Mapping[str, Any]) -> dict[str, Any]:
        for note in self._reader.notes:
            self._problem(note)
        self._reader.notes.clear()
        told = facts(meant)
        found: dict[str, Any] = {"declared": True, "annotation": shown, "choices": told.choices}
        found["type"] = _or_none(meant, known)
        for name in ("minimum", "maximum", "step"):
            if (value := getattr(told, name)) is not None:
                found[name] = value
        for name in ("label", "help", "unit"):
            found[name] = known[name] or getattr(told, name)
        return found | {"options": dict(told.options)}

    def _param(self, param: ColabParam, known: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"options": {**known.get("options", {}), **param.options}}
        for name in ("minimum", "maximum", "step"):
            if (value := getattr(param, name)) is not None:
                found[name] = value
        declared = known.get("type", Any)
        if known.get("declared") and found.keys() & {"minimum", "maximum"}:
            found["type"] = declared = without_bounds(declared)
        choices = self._choices(param, known.get("default"), found)
        if known.get("declared"):
            agreed = _agreed(param, declared, choices)
            if agreed is not None:
                return found | ({"choices": agreed} if agreed else {})
            self._problem(
                f"#@param goes over the annotation `{known['annotation']}`, which says otherwise. "
                "Leave one of them out"
            )
        if choices:
            found["choices"] = choices
        default = known.get("default")
        meant = colab_type(param._replace(choices=choices or None), default)
        if meant is None:
            return found
        if meant is Any:
            return found | {"type": Any, "declared": False, "choices": choices or None}
        reason = known.get("reason") if known.get("expression") is not None else None
        shown = "str" if param.kind == "date" and default.__class__ in (str, type(None)) else _named(meant)
        told = {"type": _or_none(meant, known), "declared": True, "annotation": shown}
        return found | told | {"choices": choices or None, "reason": reason}

    def _choices(self, param: ColabParam, default: Any, found: dict[str, Any]) -> tuple[Any, ...]:
        """The choices of a dropdown as values, the default among them. Also finds ``free_choice``."""
        choices = list(param.choices or ())
        found["free_choice"] = param.free_choice
        if param.options.get("widget") == "string" and (default is None or isinstance(default, str)):
            choices = [
                choice if choice is None else str(choice) for choice in choices
            ]  # as Colab writes them
        if param.raw or param.kind in ("integer", "number"):
            try:
                choices = [self._as_code(choice) for choice in choices]
            except (UnreadableError, *UNPARSABLE):
                self._problem("some choices of #@param are code, so that other values are taken too")
                found["free_choice"] = True
        if choices and default is not None and not found["free_choice"]:
            try:
                Parameter("choice", choices=tuple(choices)).check_limits(default)
            except ValueError:
                self._problem(
                    f"the default {shorten(default)} was not among the choices of #@param. Add it to them"
                )
                choices.insert(0, default)
        return tuple(choices)

    def _as_code(self, choice: Any) -> Any:
        if not isinstance(choice, str):
            return choice
        return self._reader.literal(ast.parse(choice.strip(), mode="eval").body)

    def _without_odd_bounds(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Bounds that no value of the type can be compared with would only be in everybody's way."""
        low, high, type_ = known.get("minimum"), known.get("maximum"), known.get("type", Any)
        bound = high if low is None else low
        if low is not None and high is not None and not in_order(low, high):
            self._problem(
                f"the bounds {shorten(low)} and {shorten(high)} are in the wrong order, and so are ignored. "
                "Swap them"
            )
            return {"minimum": None, "maximum": None, "type": without_bounds(type_)}
        if bound is None or type_ is Any or any(_comparable(kind, bound) for kind in kinds(type_)):
            return {}
        ends = ends_of(type_, known.get("default"))
        if ends is not None and all(any(_comparable(kind, bound) for kind in kinds(end)) for end in ends):
            return {"type": without_bounds(type_)}  # they are those of its ends, and no tuple has any
        self._problem(
            f"its bounds are ignored, since {_named(type_)} does not compare with {shorten(bound)}. "
            "Remove them"
        )
        return {"minimum": None, "maximum": None, "type": without_bounds(type_)}

    def _look_at_default(self, parameter: Parameter) -> None:
        """Tell of a default that a call could not give. It stays, since it is what the notebook runs with."""
        default = parameter.default
        if default is MISSING or default is None:
            return
        wanted = parameter.type
        if parameter.declared and wanted in (int, float, str, bool):
            fits = type(default) is wanted or (wanted is float and type(default) is int)
            if not fits:
                self._problem(
                    f"the default {shorten(default)} is not of the declared type {_named(wanted)}. "
                    "Change one of them"
                )
                return
        try:
            parameter.check_limits(default)
        except ValueError as error:
            self._problem(f"the default {error}. Change it, or what is declared")

    def _problem(self, text: str) -> None:
        cell, line, _ = self._site
        self._problems.append(Problem(cell, line, f"{self._name}: {text}"))


def _merged(all_said: Iterable[Said]) -> Said:
    """What is said last counts, where it says something."""
    merged = Said()
    for said in all_said:
        for item in dataclasses.fields(Said):
            if (value := getattr(said, item.name)) not in ("", None):
                setattr(merged, item.name, value)
    return merged


def _or_none(meant: Any, known: Mapping[str, Any]) -> Any:
    """The type, with None where None is the default: what the notebook runs with, a call may give."""
    if meant is None:
        return type(None)
    return (
        _Union[meant, None] if known.get("default", MISSING) is None and meant not in (Any, object) else meant
    )


# With which annotated classes a type of Colab goes together: the annotation is the finer of the two.
_GOES_WITH: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "slider": (numbers.Number,),
    "number": (numbers.Number,),
    "boolean": (bool,),
    "date": (str, datetime.date),
}
_NOT_TEXT = (numbers.Number, list, tuple, dict, set, frozenset, bytes)


def _agreed(param: ColabParam, declared: Any, choices: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The choices as values of the annotated type, or None where annotation and ``#@param`` differ."""
    classes = [kind for kind in kinds(declared) if isinstance(kind, type)]
    fitting = _GOES_WITH.get(param.kind)
    if fitting and not all(
        issubclass(kind, fitting) and (kind is not bool or bool in fitting) for kind in classes
    ):
        return None
    if param.kind == "string" and any(
        issubclass(kind, _NOT_TEXT) and not issubclass(kind, str) for kind in classes
    ):
        return None
    read = Parameter("choice", type=declared, declared=True)
    try:
        return tuple(choice if choice is None else read.coerce(choice) for choice in choices)
    except ValueError:
        return None


def _comparable(kind: Any, bound: Any) -> bool:
    if not isinstance(kind, type) or kind is object:
        return True
    if isinstance(bound, datetime.date):
        return issubclass(kind, datetime.date | str)
    if isinstance(bound, numbers.Number):
        return issubclass(kind, numbers.Number) and kind is not bool
    return isinstance(bound, kind)


def _named(meant: Any) -> str:
    return meant.__name__ if isinstance(meant, type) else str(meant).replace("typing.", "")
