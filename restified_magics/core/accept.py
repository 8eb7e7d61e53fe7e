"""The ``Accept`` header: which of the offered media types a caller likes best."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["choose"]


def choose(accept: str, offered: Sequence[str]) -> str | None:
    """The media type to answer with, or None where the caller takes none of them.

    Args:
        accept: an ``Accept`` header; an empty one takes everything.
        offered: media types, the best first, which decides between those that the caller likes as much.

    Example:
        >>> choose("text/*;q=0.5, image/png", ["application/json", "text/csv", "image/png"])
        'image/png'
        >>> choose("", ["application/json"]), choose("text/csv", ["application/json"])
        ('application/json', None)
    """
    ranges = [_range(part) for part in accept.split(",") if part.strip()] or [("*/*", 1.0)]
    best, quality = None, 0.0
    for media_type in offered:
        liked = _quality(media_type, ranges)
        if liked > quality:
            best, quality = media_type, liked
    return best


def _range(part: str) -> tuple[str, float]:
    kind, *options = (piece.strip() for piece in part.split(";"))
    quality = 1.0
    for option in options:
        name, _, value = option.partition("=")
        if name.strip().lower() == "q":
            try:
                quality = min(1.0, max(0.0, float(value)))
            except ValueError:
                quality = 0.0
    return kind.lower(), quality


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """How much it is liked: by the most specific range that it falls in."""
    kind = media_type.partition(";")[0].strip().lower()
    for wanted in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        liked = [quality for name, quality in ranges if name == wanted]
        if liked:
            return max(liked)
    return 0.0
