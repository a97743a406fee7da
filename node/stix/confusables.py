"""Text as the eye reads it, for the letters of "TLP": so that nobody hides a marking in another script.

Rule    Only what could be taken for t, l or p is mapped; the aim is to notice `TLP:RED` spelt
        with a Cyrillic T, not to translate. A wrong hit withholds, it never shares.

Source  Unicode Technical Standard 39 section 4 (skeletons), cut down to three letters.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# Code points by number: the characters themselves are what a reader cannot tell apart.
_LOOKS_LIKE: Final = {
    "t": (0x03C4, 0x0442, 0x1D1B, 0x01AD, 0x0288, 0x0167, 0x13A2, 0x2CA7, 0xA4D4,
          0x22A4, 0x27D9, 0x10315, 0x4E05),
    "l": (0x04CF, 0x0456, 0x03B9, 0x01C0, 0x029F, 0x13DE, 0x0142, 0x019A, 0x026B, 0x2C61, 0xA4E1, 0xA4F2,
          0x2223, 0x2502, 0x16C1, 0x05DF, 0x0627, 0x07CA, 0x2D4F, 0x4E5A, 0x3125, 0x2CD0, 0x2CD1),
    "p": (0x03C1, 0x0440, 0x13E2, 0x2CA3, 0xA4D1, 0x01BF, 0x1D18, 0x1D7D, 0x01A5, 0x146D, 0x2374,
          0x03FC, 0x5369),
}  # fmt: skip

_TO_LATIN: Final = {point: letter for letter, points in _LOOKS_LIKE.items() for point in points}

# Unseen although Unicode calls them letters or symbols: Hangul fillers, the empty braille cell.
_BLANK: Final = frozenset("\u115f\u1160\u3164\u2800")
_UNSEEN: Final = frozenset(("Cf", "Cc", "Cn", "Co", "Mn", "Me"))


def skeleton(text: str) -> str:
    """A text in small letters without what cannot be seen and with look-alikes of t, l, p as these."""
    if text.isascii() and text.isprintable():
        return text.lower()
    # Decomposed, so that an accent is a character of its own and falls away.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(
        _TO_LATIN.get(ord(character), character)
        for character in folded
        if character not in _BLANK and unicodedata.category(character) not in _UNSEEN
    )
