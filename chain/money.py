"""Money is integer fen; the only text forms and the only JSON bound live here."""

from __future__ import annotations

from typing import NewType

from chain.errors import InvalidValueError

Fen = NewType("Fen", int)
"""One hundredth of a renminbi yuan. Never a float."""

JSON_MAX_FEN = 2**53 - 1
"""Above this a JSON number is not exact in every reader (RFC 8259 section 6)."""


def fen(value: object, *, field: str = "") -> Fen:
    """Checks that a value is a whole, non-negative number of fen that JSON can carry.

    Raises:
        InvalidValueError: for anything else, booleans and floats included.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidValueError(
            "an amount is a whole number of fen (1 yuan = 100 fen)", field=field, given=str(value)
        )
    if not 0 <= value <= JSON_MAX_FEN:
        raise InvalidValueError(
            f"an amount lies between 0 and {JSON_MAX_FEN} fen", field=field, given=value
        )
    return Fen(value)


def yuan_text(amount: int) -> str:
    """The amount as ``1,234.56``, exact, sign in front.

    >>> yuan_text(-123456)
    '-1,234.56'
    """
    sign, digits = ("-" if amount < 0 else ""), abs(amount)
    return f"{sign}{digits // 100:,}.{digits % 100:02d}"
