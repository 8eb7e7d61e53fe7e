"""Whether a value is a credential that should not stand in a notebook: few, rather than false, alarms.

Two things tell: a name that ends in what credentials are called, with a value that could be one; or a value
that can be nothing else, for its well-known form or since it is long and random.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["credentials", "is_secret"]

# What a name ends in, apart from a number or an environment behind it.
_AFTER = r"(?:_?\d+|_(?:prod|production|dev|test|staging|default|value))?\Z"
_SURE_NAME = re.compile(
    r"(?:passw(?:or)?d|passphrase|pwd|client_?secret|secret(?:_?key)?|api_?key|access_?key|private_?key"
    r"|api_?secret|(?:access|auth|api|bearer|refresh|secret)_?token|credentials?)" + _AFTER
)
# A token may as well be a piece of text, and "auth" a method, so that the value decides.
_VAGUE_NAME = re.compile(r"(?:token|auth|authorization|signing_?key|encryption_?key|license_?key)" + _AFTER)

_PLACEHOLDER = re.compile(
    r"\A\W*\Z|\A[<{\[$%].*|.*[>}\]]\Z|\A(.)\1*\Z|.*\.\.\.|.*…|.*\*\*\*"
    r"|.*(?:\b|_|-)(?:your|my|change|replace|insert|enter|todo|tbd|fixme|example|sample|dummy|fake|placeholder|redacted"
    r"|xxx+|none|null|unknown|default|demo|public|anonymous|guest)(?:\b|_|-|me)",
    re.IGNORECASE | re.DOTALL,
)
_WORDS_FOR_IT = re.compile(
    r"\A(?:passw(?:or)?d|pass|pw|secret|token|key|api[_-]?key|user|root|admin|basic|bearer|digest|test(?:ing)?)\Z",
    re.IGNORECASE,
)

_KNOWN_FORM = re.compile(
    r"\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_\w{40,}|\bglpat-[\w-]{20}"
    r"|\bsk-(?:[a-z]+-)*[A-Za-z0-9_-]{20,}|\b[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}|\bxox[abeprs]-[A-Za-z0-9-]{10,}"
    r"|\bAIza[\w-]{35}|\bhf_[A-Za-z0-9]{30,}|\bpypi-[\w-]{50,}|\bnpm_[A-Za-z0-9]{36}"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"
)
_IN_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@]+:(?P<password>[^/\s@]+)@", re.IGNORECASE)
_ONE_WORD = re.compile(r"[A-Za-z0-9_+=-]{24,}\Z")
_KINDS = (str.isupper, str.islower, str.isdigit)


def credentials(name: str, value: Any) -> Iterator[str]:
    """What in a parameter's default looks like a credential: where it is, in words that do not show it.

    Args:
        name: the name of the parameter.
        value: its default; dicts and lists are looked through.

    Example:
        >>> list(credentials("api_key", "s3cr3t-8f1a"))
        ['its default looks like a secret']
        >>> list(credentials("api_key", "<your key>")), list(credentials("pad_token", "[PAD]"))
        ([], [])
        >>> list(credentials("options", {"user": "ann", "password": "hunter2"}))
        ["its default has what looks like a secret in ['password']"]
    """
    for path, own_name, text in _texts(name, value, ""):
        if _is_credential(own_name, text):
            yield (
                f"its default has what looks like a secret in {path}"
                if path
                else "its default looks like a secret"
            )


def is_secret(name: str, value: Any) -> bool:
    """Whether a value should not be shown where others are: a name that can be nothing else says so.

    Of one that may as well be a piece of text, or a way of doing it, the value decides: it is none or empty,
    or looks like a credential.

    Args:
        name: the name of the parameter.
        value: its value or its default; None is none.

    Example:
        >>> is_secret("db_password", "hunter2"), is_secret("api_key", None), is_secret("token", "")
        (True, True, True)
        >>> is_secret("pad_token", "[PAD]"), is_secret("auth", "basic"), is_secret("password_file", "")
        (False, False, False)
    """
    called = _called(name)
    none = value is None or (isinstance(value, str) and not value)
    if _SURE_NAME.search(called) or (none and _VAGUE_NAME.search(called)):
        return True
    return any(credentials(name, value))


def _texts(name: str, value: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """The texts in a value: where each is, what it is called there, and itself."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        yield path, name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key if isinstance(key, str) else name, item, f"{path}[{key!r}]")
    elif isinstance(value, list | tuple | set | frozenset):
        for number, item in enumerate(value):
            yield from _texts(name, item, f"{path}[{number}]")


def _is_credential(name: str, text: str) -> bool:
    text = text.strip()
    if _KNOWN_FORM.search(text):
        return True
    if found := _IN_URL.search(text):
        return not _is_placeholder(found["password"])
    if _is_placeholder(text) or re.search(r"\s", text) or "://" in text or text.startswith(("/", "~", "./")):
        return False
    called = _called(name)
    if _SURE_NAME.search(called):
        return len(text) >= 4
    if _VAGUE_NAME.search(called):
        return len(text) >= 12 and any(map(str.isdigit, text)) and any(map(str.isalpha, text))
    return _ONE_WORD.match(text) is not None and _is_random(text)


def _called(name: str) -> str:
    """A name in small letters and underscores: `apiKey` and `API-KEY` are `api_key`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").replace(".", "_").lower()


def _is_placeholder(text: str) -> bool:
    return _PLACEHOLDER.match(text) is not None or _WORDS_FOR_IT.match(text) is not None


def _is_random(text: str) -> bool:
    """Whether capitals, small letters and digits alternate as they do in no word and no name."""
    signs = [sign for sign in text if sign.isalnum()]
    kinds = [next(number for number, is_kind in enumerate(_KINDS) if is_kind(sign)) for sign in signs]
    changes = sum(one != other for one, other in itertools.pairwise(kinds))
    return len(set(kinds)) == 3 and len(set(signs)) >= 12 and changes >= len(signs) / 2
