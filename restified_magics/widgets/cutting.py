"""Text that is too long for a page, cut in the middle."""

from __future__ import annotations

__all__ = ["LONGEST_LINE", "LONGEST_TEXT", "cut"]

#: Characters of a message.
LONGEST_LINE = 2_000

#: Characters of printed text, or of a traceback.
LONGEST_TEXT = 100_000


def cut(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text, or its beginning and its end, and how much is left out between them.

    Args:
        text: the text.
        longest: how many of its characters are kept.

    Example:
        >>> cut("abc"), cut("abcdefghij", 4)
        ('abc', 'ab\\n\\n… 6 characters are left out here …\\n\\nij')
    """
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n\n… {len(text) - longest:,} characters are left out here …\n\n{text[-half:]}"
