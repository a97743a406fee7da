"""How columns are written, so that every table of the schema reads alike."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, MetaData, SmallInteger, Text

metadata = MetaData()


def big(name: str, *, key: bool = False, empty: bool = False) -> Column[int]:
    """A 64-bit number: a moment, an instant, a generation."""
    return Column(name, BigInteger, primary_key=key, nullable=empty, autoincrement=False)


def text(name: str, *, key: bool = False, empty: bool = False) -> Column[str]:
    """Text of any length."""
    return Column(name, Text, primary_key=key, nullable=empty)


def number(name: str, *, key: bool = False, empty: bool = False) -> Column[int]:
    """A 32-bit number."""
    return Column(name, Integer, primary_key=key, nullable=empty, autoincrement=False)


def small(name: str, *, empty: bool = False) -> Column[int]:
    """A 16-bit number: a rank, a state."""
    return Column(name, SmallInteger, nullable=empty)


def flag(name: str) -> Column[bool]:
    """True or false."""
    return Column(name, Boolean, nullable=False)


def octets(name: str, *, key: bool = False, empty: bool = False) -> Column[bytes]:
    """Bytes as they are."""
    return Column(name, LargeBinary, primary_key=key, nullable=empty)
