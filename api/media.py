"""What a file really is, by its bytes and never by its name: JPEG, PNG, WebP and PDF, and nothing else."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image

from api.errors import ApiError

MOST_BYTES = 6 * 1024 * 1024
"""Of one file; a phone makes its photos smaller before it sends them."""

MOST_PIXELS = 25_000_000
"""A picture that unpacks to more is a bomb, not a photo."""

MOST_SIDE = 20_000

_FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
EXTENSIONS = {
    "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "application/pdf": "pdf",
}  # fmt: skip


class MediaRefusedError(ApiError):
    """The file is not one of JPEG, PNG, WebP or PDF, or not a whole one."""

    code = "media_refused"


@dataclass(frozen=True, slots=True)
class Media:
    """What a file is; width and height of a picture in pixels."""

    media_type: str
    width: int | None = None
    height: int | None = None


def sniff(content: bytes) -> Media:
    """The type of a file by its first bytes, checked by reading its head and structure.

    Raises:
        MediaRefusedError: empty, too large, of another type, cut short, or a picture of too many pixels.
    """
    if not content:
        raise MediaRefusedError("the file is empty", field="body")
    if len(content) > MOST_BYTES:
        raise MediaRefusedError(
            f"a file has at most {MOST_BYTES} bytes",
            field="body",
            most=MOST_BYTES,
            given=len(content),
        )
    if content.startswith((b"%PDF-1.", b"%PDF-2.")):
        if b"%%EOF" not in content[-2048:]:
            raise MediaRefusedError("the PDF is cut short: its end is missing", field="body")
        return Media("application/pdf")
    if content.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or (
        content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    ):
        return _picture(content)
    raise MediaRefusedError("the file is none of JPEG, PNG, WebP and PDF", field="body")


def _picture(content: bytes) -> Media:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures; we refuse them
            with Image.open(io.BytesIO(content), formats=tuple(_FORMATS)) as head:
                (width, height), form = head.size, str(head.format)
                is_small = width * height <= MOST_PIXELS and max(width, height) <= MOST_SIDE
                if is_small:
                    head.verify()  # checksums of PNG; the others are read below
            if is_small:
                with Image.open(io.BytesIO(content), formats=(form,)) as whole:
                    whole.load()
    except Image.DecompressionBombError:
        is_small = False
    except Exception as error:  # a decoder may raise anything on bytes made to hurt it
        raise MediaRefusedError("the picture is damaged or cut short", field="body") from error
    if not is_small:
        raise MediaRefusedError(
            f"a picture has at most {MOST_PIXELS} pixels and {MOST_SIDE} a side", field="body"
        )
    return Media(_FORMATS[form], width, height)
