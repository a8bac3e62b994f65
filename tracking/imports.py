"""Files of a recorder as evidence: CSV, GPX or NMEA bytes to fixes; no I/O."""

from __future__ import annotations

import codecs
import io
from enum import StrEnum
from typing import TYPE_CHECKING

from tracking import gpx, nmea
from tracking.files import parse_fixes
from tracking.refusals import FileError
from tracking.track import fixes_of

if TYPE_CHECKING:
    from tracking.fix import Fix

MOST_FIXES = 200_000
"""Positions of one file; a truck that reports every second fills it in two days."""


class Recording(StrEnum):
    """What a recorder's file is."""

    CSV = "csv"
    GPX = "gpx"
    NMEA = "nmea"


def read_recording(data: bytes, form: Recording) -> list[Fix]:
    """The fixes of a file, all marked as sent late: nobody was told of them while the truck drove.

    An NMEA log keeps what is readable of it (a receiver cuts sentences when it starts); a CSV or GPX file
    with one wrong cell is refused whole, and the cell is named.

    Raises:
        FileError: it is not what it is said to be, holds no position, or too many.
    """
    text = decode_text(data, f"the {form.value.upper()} file")
    if form is Recording.CSV:
        fixes = fixes_of(parse_fixes(io.StringIO(text, newline=""), "the CSV file"))
    elif form is Recording.GPX:
        fixes = gpx.read_fixes(text, name="the GPX file")
    else:
        read = nmea.read_fixes(text.splitlines())
        fixes = [fix for fix in read if not isinstance(fix, nmea.SentenceRefusal)]
        if not fixes:
            raise FileError("the NMEA file: holds no RMC sentence with a date and a position")
    if len(fixes) > MOST_FIXES:
        raise FileError(f"the file holds {len(fixes)} positions; at most {MOST_FIXES} at once")
    return [fix._replace(late=True, received=None, terminal="") for fix in fixes]


def decode_text(data: bytes, name: str) -> str:
    """Text of a file: UTF-8 with or without its mark, UTF-16 with its mark, else refused.

    GBK is not guessed: it cannot be told apart from other bytes, and all that is read here is ASCII.

    Raises:
        FileError: it is neither.
    """
    form = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        form = "utf-16"
    try:
        return data.decode(form)
    except UnicodeDecodeError as wrong:
        raise FileError(
            f"{name}: is not UTF-8 text ({wrong.reason} at byte {wrong.start}); save it as UTF-8"
        ) from wrong
