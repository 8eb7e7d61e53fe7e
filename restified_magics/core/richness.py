"""A value of which there is only what a kernel displays: MIME types, the richest first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["Rich"]


class Rich:
    """What a kernel shows of a value, where the value itself cannot leave it.

    Attributes:
        data: by MIME type, as nbformat has it.

    Example:
        >>> Rich({"text/html": "<b>3</b>", "text/plain": "3"})
        <Rich: text/html, text/plain>
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = dict(data)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Any:
        """The value itself where the kernel shows it as JSON, else what it shows."""
        if "application/json" not in data:
            return cls(data)
        value = data["application/json"]
        return json.loads(value) if isinstance(value, str) else value

    def _repr_mimebundle_(self, **_options: object) -> dict[str, Any]:
        return self.data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rich) and self.data == other.data

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Rich: {', '.join(self.data) or 'nothing'}>"
