"""A comment → what it says of a parameter: label, unit, bounds, type, section, help."""

from __future__ import annotations

import ast
import datetime
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from restified_magics.core.source import parse
from restified_magics.signature.colab import ColabParam, number, read_param

if TYPE_CHECKING:
    pass
from restified_magics.signature.layout import UNPARSABLE

__all__ = [
    "COLAB_MARK",
    "PARAM_MARK",
    "Said",
    "heading_of",
    "in_order",
    "plain_text",
    "read_trailing",
    "section_title",
]

PARAM_MARK = re.compile(r"#\s*@param\b")
COLAB_MARK = re.compile(r"#\s*@(title|markdown)\b[ \t]*(.*)")
_NOISE = re.compile(
    r"noqa|fmt:|pylint:|type:\s*ignore|isort:|mypy:|pyright:|ruff:|flake8:|yapf:|nosec\b|pragma:|vim:|restified:\s*ignore"
    r"|-\*-|%%|%[a-z]|!",
    re.IGNORECASE,
)
_TYPE = re.compile(r"type:\s*(?=\S)")
_NUMBER = r"[+\-−]?(?:inf|∞|\d[\d_]*(?:\.(?!\.)[\d_]*)?(?:[eE][+\-]?\d+)?|\.\d[\d_]*(?:[eE][+\-]?\d+)?)"
_LIMIT = rf"(?:\d{{4}}-\d\d-\d\d|{_NUMBER})"
_RANGE = re.compile(
    rf"\(\s*(?:(?P<low>{_LIMIT})?\s*\.\.(?!\.)\s*(?P<high>{_LIMIT})?)?"
    rf"\s*(?:,?\s*step\s+(?P<step>{_LIMIT}))?\s*\)"
)
_ALMOST_RANGE = re.compile(r"\([^()]*\d\s*\.\.[^()]*\)|\([^()]*\.\.\s*\d[^()]*\)")
_UNIT = re.compile(r"\[(?P<unit>[^\[\],'\"]*[^\W\d_][^\[\],'\"]*|[-%‰°$€£¥]+)\]$")


@dataclass
class Said:
    """What the comments of one assignment say."""

    text: str = ""
    unit: str = ""
    minimum: Any = None
    maximum: Any = None
    step: Any = None
    type_text: str = ""
    param: ColabParam | None = None
    help: str = ""
    section: str = ""
    problems: list[str] = field(default_factory=list)


def heading_of(text: str) -> str:
    """The title in ``## Title``, else nothing."""
    level = len(text) - len(text.lstrip("#"))
    return text.strip("# \t") if 0 < level <= 6 and text[level : level + 1].isspace() else ""


def section_title(comment: str) -> str:
    """The title in ``# ## Title`` or ``# --- Title ---``, else nothing."""
    text = comment[1:].strip()
    if comment[1:2].isspace() and (title := heading_of(text)):
        return title
    inner = text.strip("-=*~#_+")
    before = text.find(inner)
    framed = inner and before >= 2 and len(text) - before - len(inner) >= 2
    return inner.strip() if framed else ""


def plain_text(comment: str) -> str:
    """The words of a comment, without the notes to tools that stand in it too."""
    pieces = re.split(r"(?<=\s)(?=#)", comment)
    kept = [piece for piece in pieces if not _NOISE.match(piece.lstrip("#: \t"))]
    text = "".join(kept).lstrip("#: \t").strip()
    return "" if _is_code(text) or not _is_text(text) else text


def _is_text(text: str) -> bool:
    return any(map(str.isalnum, text)) or text[:1] in ("[", "(")  # `[%]` is a unit, `-----` nothing


def _is_code(text: str) -> bool:
    """Whether a comment is code that was taken out: ``# x = 5``, ``# import os``, ``# plt.show()``."""
    if not re.match(r"[\w.\[\]'\" ,]+(?::[^=]+)?[-+*/]?=[^=]|(?:import|from)\s|[\w.]+\(.*\)$", text):
        return False
    try:
        body = parse(text).body
    except UNPARSABLE:
        return False
    match body:
        case [ast.Assign(value=value) | ast.AugAssign(value=value)]:
            return not isinstance(value, ast.Name)  # `n = number` is rather an explanation
        case [ast.AnnAssign(value=ast.expr()) | ast.Import() | ast.ImportFrom()]:
            return True
        case [ast.Expr(value=ast.Call(func=func))]:
            return isinstance(func, ast.Attribute) or ast.unparse(func) == "print"
    return False


def read_trailing(comment: str, said: Said) -> None:
    """Add what a comment after an assignment says."""
    text = comment
    if match := PARAM_MARK.search(comment):
        said.param = read_param(comment[match.end() :])
        said.problems.extend(said.param.problems)
        text = f"{comment[: match.start()].strip()} {said.param.text}".strip()
    text = plain_text(text)
    if match := _TYPE.match(text):
        said.type_text, text = _split_type(text[match.end() :])
        said.help = _read_label(text, said) or said.help
        return
    _read_label(text, said)


def _split_type(text: str) -> tuple[str, str]:
    """The type at the start of a text, and the rest: types have spaces in brackets and around ``|``."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign in "[(") - (sign in "])")
        if sign.isspace() and depth <= 0:
            rest = text[at:].strip()
            if not rest.startswith("|") and not text[:at].rstrip().endswith("|"):
                return text[:at], rest.lstrip("# \t")
    return text, ""


def _read_label(text: str, said: Said) -> str:
    """Cut unit and range off a label; a bracket that is neither stays in it."""
    for _ in range(2):
        if not said.unit and (match := _UNIT.search(text)):
            said.unit, text = match["unit"].strip(), text[: match.start()].strip()
        for match in list(_RANGE.finditer(text))[-1:]:
            if match["low"] or match["high"] or match["step"]:
                low, high, said.step = (_limit(match[name]) for name in ("low", "high", "step"))
                _set_bounds(said, low, high)
                text = f"{text[: match.start()]} {text[match.end() :]}".strip()
    if match := _ALMOST_RANGE.search(text):
        said.problems.append(f"the range {match.group()} is not understood; write (low..high step s)")
    said.text = text or said.text
    return text


def _set_bounds(said: Said, low: Any, high: Any) -> None:
    if low is not None and high is not None and not in_order(low, high):
        said.problems.append(
            f"{low} and {high} are not in order, and so are ignored as bounds. Write the lower one first"
        )
    else:
        said.minimum, said.maximum = low, high


def _limit(text: str | None) -> Any:
    if text is None:
        return None
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        try:
            return datetime.date.fromisoformat(text)
        except ValueError:
            return None
    return number(text.replace("−", "-"))


def in_order(low: Any, high: Any) -> bool:
    """Whether two bounds can be compared, and are the right way round."""
    try:
        return bool(low <= high)
    except (TypeError, ArithmeticError):  # of two kinds, or a Decimal that is no number
        return False
