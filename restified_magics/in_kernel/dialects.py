"""How a call is put to a kernel of another language than Python: values given, kept, and sent back.

A value never becomes source text: it travels as JSON in base64, an alphabet in which no language has a
sign of its own, and is decoded by what :data:`Dialect.prepare` brought into the kernel. In a shell it is
the number of every byte, which the shell itself decodes.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import importlib.resources
import json
import math
import pathlib
import re
import uuid
from collections.abc import Mapping
from typing import Any

from restified_magics.signature.languages import LANGUAGES, Assigned, Language
from restified_magics.signature.literals import read_shell
from restified_magics.signature.statements import Statement

__all__ = ["DIALECTS", "Dialect", "Unsayable"]

_EXACT = 2**53  # whole numbers up to here are whole in a double, too


class Unsayable(ValueError):  # noqa: N818 - it is said of the value
    """A value for which a language has no form."""


@dataclasses.dataclass(frozen=True)
class Dialect:
    """What is said to a kernel of a language.

    Attributes:
        language: the language.
        prepare: code that is run once in a kernel, or nothing.
        given: the expression for a value; ``{}`` stands for its payload.
        keep: what goes around the last statement of the `return` cell, so that its value is kept.
        give: code that sends the value kept; ``{}`` stands for what it is known by, and for a file for it.
        largest: the largest whole number.
        truth: how it writes false and true.
        tick: microseconds of the finest moment that a date can hold.
    """

    language: Language
    prepare: str = ""
    given: str = ""
    keep: tuple[str, str] = ("", "")
    give: str = ""
    largest: int = _EXACT
    truth: tuple[str, str] = ("false", "true")
    tick: int = 1

    def assignment(self, assigned: Assigned, value: Any) -> str:
        """The assignment of a parameter with a given value in place of its own, on as many lines."""
        try:
            payload = base64.b64encode(json.dumps([self.plain(value)]).encode("ascii")).decode("ascii")
        except RecursionError:
            raise Unsayable("contains itself, or is nested too deep. Give a part of it") from None
        declared = f": {assigned.annotation}" if assigned.annotation else ""
        code = f"{assigned.head}{assigned.name}{declared} {assigned.sign} {self.given.format(payload)}"
        return code + "\n" * (assigned.statement.last_line - assigned.statement.line)

    def kept(self, source: str, *, shown: bool) -> str:
        """A `return` cell, the value of its last statement kept.

        Args:
            source: the cell.
            shown: whether the value is displayed, too, as it is in Jupyter.
        """
        statements = self.language.statements(source)
        before, after = self.keep
        if not statements or not before:
            return source
        last = statements[-1]
        return self._kept(source, last, self.language.assigned(last), before, after.format(self.truth[shown]))

    def _kept(self, source: str, last: Statement, assigned: Assigned | None, before: str, after: str) -> str:
        if assigned is not None and assigned.head:  # a declaration is no expression
            return f"{source[: last.end]}\n{before}{assigned.name}{after}"
        return f"{source[: last.start]}{before}{last.text}{after}{source[last.end :]}"

    def plain(self, value: Any) -> Any:
        """The value as JSON has it, or tagged.

        Raises:
            Unsayable: the language has no form for it, or for something in it.
        """
        if isinstance(value, enum.Enum):
            return self.plain(value.value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return self._number(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$": "float", "text": repr(float(value))}
        if isinstance(value, str):
            return self._text(value)
        # one frame a level, and no comprehension: Python's stack limits how deep values may be nested
        if isinstance(value, (list, tuple, set, frozenset, range)):
            items = []
            for item in value:
                items.append(self.plain(item))  # noqa: PERF401
            return items
        if isinstance(value, Mapping):
            fields = {}
            for name, item in value.items():
                if not isinstance(name, str):
                    raise Unsayable(
                        f"has keys that are no text, which {self.language.name} has no form for. Give text"
                    )
                fields[self._text(name)] = self.plain(item)
            return {"$": "dict", "fields": fields} if "$" in fields else fields
        return self._of_a_class(value)

    def _of_a_class(self, value: Any) -> Any:
        if isinstance(value, (pathlib.PurePath, uuid.UUID)):
            return self._text(str(value))
        if isinstance(value, (bytes, bytearray, memoryview)):
            return {"$": "bytes", "base64": base64.b64encode(value).decode("ascii")}
        if isinstance(value, datetime.date):
            return self._moment(value)
        library = type(value).__module__.partition(".")[0]
        if library == "pandas" and hasattr(value, "columns"):
            columns = {self._text(str(name)): self.plain(value[name].tolist()) for name in value}
            return {"$": "table", "columns": columns, "length": len(value)}
        if library in ("numpy", "pandas") and hasattr(value, "tolist"):
            return self.plain(value.tolist())
        raise Unsayable(
            f"is a {type(value).__qualname__}, which {self.language.name} has no form for. "
            "Give numbers, text, lists, dicts or a DataFrame"
        )

    def _moment(self, value: datetime.date) -> dict[str, str]:
        if value.year < 1000:
            raise Unsayable(
                f"is before the year 1000, which {self.language.name} does not read. Give it as text"
            )
        if not isinstance(value, datetime.datetime):
            return {"$": "date", "text": value.isoformat()}
        if value.microsecond % self.tick:
            raise Unsayable(f"has parts of a millisecond, which {self.language.name} cannot hold. Round it")
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return {"$": "datetime", "text": value.isoformat(timespec="microseconds") + "Z", "zone": "UTC"}

    def _number(self, value: int) -> int:
        if abs(value) > self.largest:
            digits = len(str(value)) if value.bit_length() < 1000 else math.ceil(value.bit_length() * 0.301)
            raise Unsayable(
                f"has {digits} digits, more than a whole number of {self.language.name} can hold exactly. "
                "Give it as text"
            )
        return int(value)

    def _text(self, value: str) -> str:
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise Unsayable("holds a lone surrogate, which is no character. Remove it") from None
        if "\0" in value and self.language.name != "TypeScript":
            raise Unsayable(f"holds a NUL, which text of {self.language.name} cannot. Remove it")
        return str(value)


class _Shell(Dialect):
    """A shell has text, and lists of text; what is made of them is the script's own."""

    def assignment(self, assigned: Assigned, value: Any) -> str:
        if _is_number(assigned) and not _looks_like_a_number(value):
            # in arithmetic a shell runs what stands in brackets, and a number is used in arithmetic
            raise Unsayable("must be a number, as its default is")
        if _is_number(assigned) and isinstance(value, (float, decimal.Decimal)) and not math.isfinite(value):
            raise Unsayable(f"must be a finite number: {self.language.name} knows no {value}")
        code = f"{assigned.head}{assigned.name}={self._word_or_words(value)}"
        return code + "\n" * (assigned.statement.last_line - assigned.statement.line)

    def _word_or_words(self, value: Any) -> str:
        if isinstance(value, (list, tuple)):
            return f"({' '.join(self._word(item) for item in value)})"
        return self._word(value)

    def _word(self, value: Any) -> str:
        text = self._text(self._as_text(value))
        return f"$'{''.join(f'{chr(92)}{byte:03o}' for byte in text.encode('utf-8'))}'"

    def _as_text(self, value: Any) -> str:
        if isinstance(value, enum.Enum):
            value = value.value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return f"{decimal.Decimal(value):f}"  # which has no limit of digits, as str of an int has
        if isinstance(value, (str, float, decimal.Decimal, pathlib.PurePath, uuid.UUID)):
            return str(value)
        if isinstance(value, (datetime.date, datetime.time)):
            return value.isoformat()
        library = type(value).__module__.partition(".")[0]
        if library == "numpy" and getattr(value, "shape", None) == ():
            return self._as_text(value.item())
        raise Unsayable(
            f"is a {type(value).__qualname__}, which {self.language.name} has no form for. "
            "Give text, a number, or a list of them"
        )


def _is_number(assigned: Assigned) -> bool:
    try:
        default = read_shell(assigned.value or "")
    except ValueError:
        default = None
    return "-i" in assigned.head.split() or type(default) in (int, float)


def _looks_like_a_number(value: Any) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"[+-]?\d+(\.\d+)?", value) is not None


def _source(name: str) -> str:
    return (importlib.resources.files("restified_magics.wire") / name).read_text(encoding="utf-8")


_IN_R = 'getOption("restified_magics")'
_IN_SCRIPT = 'globalThis[Symbol.for("restified_magics")]'


def _script(name: str) -> Dialect:
    return Dialect(
        LANGUAGES[name],
        prepare=_source("kernel_side.ts"),
        given=_IN_SCRIPT + '.given("{}")',
        keep=(f"{_IN_SCRIPT}.keep(", ", {})"),
        give=f'await {_IN_SCRIPT}.give("{{}}")',
        tick=1000,
    )


_BASH = _Shell(LANGUAGES["bash"])

#: By the name that a kernelspec gives to its language, in lower case.
DIALECTS: Mapping[str, Dialect] = {
    "r": Dialect(
        LANGUAGES["r"],
        prepare=_source("kernel_side.R"),
        given=_IN_R + '$given("{}")',
        # in brackets of its own, since `r = 1` would name an argument
        keep=(f"{_IN_R}$keep((", "), {})"),
        give=f"{_IN_R}$give('{{}}', '{{}}')",
        truth=("FALSE", "TRUE"),
    ),
    "bash": _BASH,
    "sh": _BASH,
    "typescript": _script("typescript"),
    "javascript": _script("javascript"),
}
