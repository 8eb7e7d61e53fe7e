"""Languages other than Python: where their parameters are assigned, and what their literals mean.

What a cell assigns is written down once more as Python, line by line and with its comments, so that the
one grammar of parameters (:mod:`~restified_magics.signature.grammar`) reads labels, units, bounds, help
and sections of every language.
"""

from __future__ import annotations

import dataclasses
import functools
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from restified_magics.signature.assignments import ParameterCell, Problem
from restified_magics.signature.grammar import ParameterSet, read_parameters
from restified_magics.signature.literals import read_javascript, read_r, read_shell
from restified_magics.signature.parameters import Parameter
from restified_magics.signature.statements import Remark, Signs, Statement, split

__all__ = ["LANGUAGES", "Assigned", "Language", "language_of"]


class Assigned(NamedTuple):
    """A statement that assigns a parameter.

    Attributes:
        name: the name as the language writes it.
        statement: where it stands.
        head: what stands before the name, for instance ``let``.
        annotation: the declared type as text, or nothing.
        sign: the sign of the assignment.
        value: the source of the value, or None where only the name is declared.
    """

    name: str
    statement: Statement
    head: str
    annotation: str
    sign: str
    value: str | None


class Language(NamedTuple):
    """What is to be known of a language.

    Attributes:
        name: what messages call it.
        signs: how its statements are told apart.
        assignment: matches a statement that assigns one name; groups ``head``, ``name``, ``annotation``,
            ``sign`` and ``value``.
        literal: source of a literal → the value in Python; raises ValueError.
        annotation: a type as text → the same in Python, or None.
        no_value: matches the beginning of a statement that has no value, so that no call can return it.
        function: matches the beginning of a value that is a function, and so no parameter.
        declaration: matches the beginning of a declaration, whose value is that of the name it declares.
        prints_value: what the `return` cell prints is its value.
        shows_value: the type of the output in which its kernel shows the value of a cell.
    """

    name: str
    signs: Signs
    assignment: re.Pattern[str]
    literal: Callable[[str], Any]
    annotation: Callable[[str], str | None] = lambda _: None
    no_value: re.Pattern[str] | None = None
    function: re.Pattern[str] | None = None
    declaration: re.Pattern[str] | None = None
    prints_value: bool = False
    shows_value: str = "execute_result"

    def statements(self, source: str) -> list[Statement]:
        """The statements of a cell."""
        return split(source, self.signs)[0]

    def assigned(self, statement: Statement) -> Assigned | None:
        """What a statement assigns, if it assigns one plain name."""
        found = self.assignment.match(statement.text)
        if found is None or (self.function and self.function.match(found["value"] or "")):
            return None
        if len(split(found["value"] or "", self.signs, ",")[0]) > 1:
            return None  # `let a = 1, b = 2`: one of them cannot be given alone
        parts: dict[str, Any] = {"head": "", "annotation": "", "value": None} | found.groupdict()
        return Assigned(
            name=parts["name"],
            statement=statement,
            head=parts["head"] or "",
            annotation=(parts["annotation"] or "").strip(),
            sign=parts["sign"] or "=",
            value=parts["value"],
        )

    def fields(self, cells: Sequence[tuple[int, str]]) -> ParameterSet:
        """The parameters of the cells that are tagged so: (index, source) of each."""
        names: dict[str, str] = {}
        expressions: dict[str, str] = {}
        annotations: dict[str, str] = {}
        written = []
        for index, source in cells:
            statements, remarks = split(source, self.signs)
            lines = _Lines(source.count("\n") + 1)
            for statement in statements:
                assigned = self.assigned(statement)
                if assigned is None or assigned.name.startswith(("_", ".")):
                    continue
                name = _python_name(assigned.name)
                names[name] = assigned.name
                value, expression = self._value(assigned)
                if expression:
                    expressions[name] = expression
                elif value is not None:
                    expressions.pop(name, None)
                annotation = self.annotation(assigned.annotation) if assigned.annotation else None
                if annotation:
                    annotations[name] = assigned.annotation
                lines.assign(statement, name, annotation, value)
            lines.remark(remarks)
            written.append(ParameterCell(index, lines.text(), tagged=True))
        found = read_parameters(written)
        parameters = {
            names[name]: _renamed(parameter, names[name], expressions.get(name), annotations.get(name))
            for name, parameter in found.parameters.items()
        }
        return dataclasses.replace(
            found, parameters=parameters, problems=[_without_python(problem) for problem in found.problems]
        )

    def _value(self, assigned: Assigned) -> tuple[str | None, str]:
        """The value in Python; and its own source, where only a call can tell it."""
        if assigned.value is None:
            return None, ""
        try:
            return repr(self.literal(assigned.value)), ""
        except (ValueError, RecursionError):
            return "_", assigned.value

    def without_value(self, source: str) -> str | None:
        """The last statement of a `return` cell where it has no value, so that nothing can be returned."""
        statements = self.statements(source)
        if not statements:
            return ""
        last = statements[-1].text
        has_none = self.no_value is not None and self.no_value.match(last) is not None
        if self.declaration is not None and self.declaration.match(last):
            assigned = self.assigned(statements[-1])  # nothing where several are: `let {a, b} = f()`
            has_none = assigned is None or assigned.value is None
        return last.splitlines()[0] if has_none else None


class _Lines:
    """The lines of a cell in Python: assignments where they were, and what was said of them."""

    def __init__(self, count: int) -> None:
        self._code: list[list[str]] = [[] for _ in range(count)]
        self._remarks: list[str] = [""] * count

    def assign(self, statement: Statement, name: str, annotation: str | None, value: str | None) -> None:
        target = f"{name}: {annotation}" if annotation else name
        if value is None:
            self._code[statement.line].append(f"{name}: {annotation or 'object'}")
        elif statement.last_line == statement.line:
            self._code[statement.line].append(f"{target} = {value}")
        else:
            self._code[statement.line].append(f"{target} = ({value}")
            self._code[statement.last_line].insert(0, ")")

    def remark(self, remarks: Sequence[Remark]) -> None:
        for remark in remarks:
            self._remarks[remark.line] = "#" + remark.text

    def text(self) -> str:
        lines = zip(map("; ".join, self._code), self._remarks, strict=True)
        return "\n".join(f"{code}  {remark}" if code and remark else code or remark for code, remark in lines)


def _python_name(name: str) -> str:
    made = re.sub(r"\W", "_", name)
    return f"{made}_" if keyword.iskeyword(made) else made


def _renamed(parameter: Parameter, name: str, expression: str | None, annotation: str | None) -> Parameter:
    changes: dict[str, Any] = {}
    if name != parameter.name:
        changes["name"] = name
        if parameter.label == parameter.name.replace("_", " ").strip():
            changes["label"] = re.sub(r"[._]+", " ", name).strip()
    if expression is not None:
        changes |= {"expression": expression, "reason": "the call works it out: it is not a literal"}
    if annotation is not None:
        changes["annotation"] = annotation
    return dataclasses.replace(parameter, **changes) if changes else parameter


def _without_python(problem: Problem) -> Problem:
    return problem._replace(text=problem.text.replace("not valid Python", "not readable"))


# --------------------------------------------------------------------- types

_TYPES = {
    "number": "float",
    "string": "str",
    "boolean": "bool",
    "bigint": "int",
    "null": "None",
    "undefined": "None",
    "any": "object",
    "unknown": "object",
    "object": "dict",
}


def _typescript(text: str) -> str | None:
    """A type of TypeScript in Python, or None where there is no such thing."""
    text = text.strip()
    parts = [part.strip() for part in re.split(r"\|(?![^<\[(]*[>\])])", text) if part.strip()]
    if len(parts) > 1:
        literals = [part for part in parts if re.fullmatch(r"\"[^\"]*\"|'[^']*'|-?\d+(\.\d+)?", part)]
        others = [_typescript(part) for part in parts if part not in literals]
        if None in others:
            return None
        return " | ".join(
            ([f"Literal[{', '.join(literals)}]"] if literals else []) + [o or "" for o in others]
        )
    if text.endswith("[]"):
        return _inside("list[{}]", text[:-2].strip("() "))
    if found := re.fullmatch(r"Array<(.*)>", text):
        return _inside("list[{}]", found[1])
    if found := re.fullmatch(r"Record<string,(.*)>", text):
        return _inside("dict[str, {}]", found[1])
    return _TYPES.get(text)


def _inside(form: str, text: str) -> str | None:
    inner = _typescript(text)
    return None if inner is None else form.format(inner)


# ------------------------------------------------------------- the languages

_R = Language(
    name="R",
    signs=Signs(
        comment="#",
        quotes="\"'`",
        goes_on=re.compile(
            r"(?:[-+*/^,=~|&<>!:?]|%[^%\n]*%|\belse|\bin|\bfunction\([^()]*\)|\\\([^()]*\))\Z"
        ),
        goes_back=re.compile(r"\s*else\b"),
    ),
    assignment=re.compile(
        r"(?P<name>[^\W\d_.][\w.]*|\.[^\W\d][\w.]*)\s*(?P<sign><-|<<-|=(?!=))\s*(?P<value>.+)\Z", re.DOTALL
    ),
    literal=read_r,
    no_value=re.compile(r"(?:for|while|repeat)\b"),
    function=re.compile(r"function\b|\\\("),
    shows_value="display_data",
)

_SHELL = Language(
    name="bash",
    signs=Signs(comment="#", quotes="\"'`", raw="'", word_comments=True),
    assignment=re.compile(
        r"(?P<head>(?:(?:export|readonly|declare|typeset)\s+(?:-\w+\s+)*)?)(?P<name>[A-Za-z_]\w*)(?P<sign>=)"
        r"(?P<value>\([^()]*\)|(?:[^\s'\"\\]|\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\")*)\Z",
        re.DOTALL,
    ),
    literal=read_shell,
    prints_value=True,
)

_TYPESCRIPT = Language(
    name="TypeScript",
    signs=Signs(
        comment="//",
        quotes="\"'`",
        blocks=("/*", "*/"),
        goes_on=re.compile(r"(?:[-+*/%^,=|&<>?:.(\[{]|=>|\b(?:await|return|typeof|new|in|of|instanceof))\Z"),
        goes_back=re.compile(r"\s*(?:[.?:*/%|&,=)\]}]|\+(?!\+)|-(?!-)|else\b|catch\b|finally\b)"),
    ),
    assignment=re.compile(
        r"(?P<head>(?:export\s+)?(?:let|const|var)\s+)(?P<name>[A-Za-z_$][\w$]*)\s*"
        r"(?::\s*(?P<annotation>[^=;]+?)\s*)?(?:(?P<sign>=)(?![=>])\s*(?P<value>.+))?\Z",
        re.DOTALL,
    ),
    literal=read_javascript,
    annotation=_typescript,
    no_value=re.compile(
        r"(?:if|for|while|do|switch|try|throw|function|async\s+function|class|import|interface|type\s+\w+\s*=|enum)\b"
    ),
    declaration=re.compile(r"(?:export\s+)?(?:let|const|var)\b"),
    function=re.compile(r"(?:async\s+)?(?:function\b|\([^()]*\)\s*(?::[^=]+)?=>|[\w$]+\s*=>)"),
)

#: By the name that a kernelspec or a notebook gives to its language, in lower case.
LANGUAGES: Mapping[str, Language] = {
    "r": _R,
    "bash": _SHELL,
    "sh": _SHELL,
    "typescript": _TYPESCRIPT,
    "javascript": _TYPESCRIPT._replace(name="JavaScript"),
}


@functools.cache
def language_of(name: str | None) -> Language | None:
    """The language of this name, or None where it is Python, or not known here.

    Example:
        >>> found = language_of("R").fields([(0, "n.terms <- 15L  # Terms [count] (1..90)")])
        >>> found.parameters["n.terms"].maximum
        90
    """
    return LANGUAGES.get((name or "").lower())
