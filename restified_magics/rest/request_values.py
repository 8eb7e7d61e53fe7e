"""The values that a request hands over: from the query's text, or from a body of JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from restified_magics.rest.problems import Problem
from restified_magics.signature.reading import finite

__all__ = ["DEEPEST", "RESERVED", "from_body", "from_query"]

#: Names of the query that are Jupyter's own: credentials, which no notebook sees. A parameter that is
#: called `token` is given in a body.
RESERVED = frozenset({"token", "_xsrf", "no_track_activity"})

#: How many lists and objects of a value may be one in another.
DEEPEST = 500

_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_MARKS = bytes(set(range(256)) - set(b'"[]{}'))


def from_query(query: str, *, most: int) -> dict[str, str | list[str]]:
    """The values of a URL's query, as text; a list of texts for a name that is there more than once.

    Args:
        query: what follows the question mark.
        most: how many values there may be.

    Raises:
        Problem: 400, it is not well-formed.

    Example:
        >>> from_query("x=4%202&token=secret&day=1&day=2", most=10)
        {'x': '4 2', 'day': ['1', '2']}
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=most)
    except UnicodeDecodeError:
        raise Problem(400, "The query is not UTF-8, percent-encoded.") from None
    except ValueError:
        raise Problem(
            400,
            f"The query has more than {most} values. Send them by POST, or raise RestifiedApp.max_values.",
        ) from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in RESERVED:
            values.setdefault(name, []).append(value)
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in values.items()}


def from_body(body: bytes, content_type: str | None, *, most: int) -> dict[str, Any]:
    """The values of a body: one JSON object, in UTF-8; an empty body has none.

    Args:
        body: its bytes.
        content_type: what the request says that it is.
        most: how many lists and objects there may be in it.

    Raises:
        Problem: 400, it is not that; 413, there are more; 415, it says that it is something else.

    Example:
        >>> from_body(b'{"x": 42}', "application/json", most=10)
        {'x': 42}
    """
    if not body.strip():
        return {}
    kind, _, options = (content_type or "").lower().partition(";")
    if kind.strip() != "application/json" or not _is_utf8(options):
        raise Problem(415, "The body must be JSON in UTF-8, with Content-Type: application/json.")
    _check_shape(body, most)
    try:
        text = body.decode("utf-8")
        values = json.loads(text, parse_constant=_refuse, parse_float=finite, object_pairs_hook=_object)
        if "\\u" in text:
            json.dumps(values, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Problem(400, "The body has half of a surrogate pair, which is no character.") from None
    except UnicodeDecodeError:
        raise Problem(400, "The body is not UTF-8.") from None
    except ValueError as error:
        raise Problem(400, f"The body is not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise Problem(400, f"The body must be a JSON object, not {_KINDS[type(values)]}.")
    return values


_KINDS = {list: "a list", str: "text", int: "a number", float: "a number", bool: "true or false"} | {
    type(None): "null"
}


def _check_shape(body: bytes, most: int) -> None:
    """Refuse what lets no other thread run while it is read, by one call of C, or is nested too deep."""
    deepest = DEEPEST + 1  # with the object that the body is
    if _opened(body) <= min(most, deepest):
        return
    marks = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NO_MARKS).replace(b'""', b"")
    brackets = b"".join(marks.split(b'"')[::2])  # those that are in no text
    if _opened(brackets) > most:
        raise Problem(
            413,
            f"The body has more than {most} lists and objects. Send fewer, or raise "
            "RestifiedApp.max_containers.",
        )
    if any(depth > deepest for depth in itertools.accumulate(map(_STEPS.__getitem__, brackets))):
        raise Problem(
            400, f"The body is nested too deep: a value may be {DEEPEST} lists and objects, one in another."
        )


def _opened(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _is_utf8(options: str) -> bool:
    charsets = [part.partition("=")[2].strip(' "') for part in options.split(";") if "charset" in part]
    return all(charset in ("utf-8", "utf8") for charset in charsets)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"an object has the name {twice[:80]!r} twice")
    return made
