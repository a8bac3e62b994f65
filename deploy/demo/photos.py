"""Pictures for the demo's documents: drawn, and each says in itself that it is no photo. Pure."""

from __future__ import annotations

import io
import random

from PIL import Image, ImageDraw

SIZE = (1200, 900)
SACKS, ROWS = 9, 4


def draw_load(note: str, *, missing: int = 0) -> bytes:
    """A truck's load of sacks as JPEG; some of the top row may be missing.

    Args:
        note: the shipping note, written on it and the seed of its small differences.
        missing: how many sacks are not there.
    """
    chance = random.Random(note)  # noqa: S311  a picture, not a secret
    picture = Image.new("RGB", SIZE, (196, 208, 214))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 620, *SIZE), fill=(118, 120, 117))
    draw.rectangle((150, 240, 1050, 690), fill=(64, 84, 78))
    draw.rectangle((180, 270, 1020, 640), fill=(88, 70, 52))
    left = SACKS * ROWS - missing
    for number in range(left):
        row, place = divmod(number, SACKS)
        x, y = 186 + place * 92 + chance.randint(-3, 3), 560 - row * 82 + chance.randint(-3, 3)
        shade = 232 - chance.randint(0, 26)
        draw.rounded_rectangle((x, y, x + 86, y + 76), 18, fill=(shade, shade - 8, shade - 26))
        draw.line((x + 10, y + 38, x + 76, y + 38), fill=(170, 150, 120), width=3)
    for x in (270, 820):
        draw.ellipse((x, 640, x + 130, 770), fill=(30, 32, 31))
        draw.ellipse((x + 42, 682, x + 88, 728), fill=(150, 152, 150))
    draw.rectangle((0, 0, SIZE[0], 84), fill=(253, 240, 216))
    draw.text(
        (30, 20), f"DRAWN FOR THE DEMO, NOT A PHOTO   {note}", fill=(125, 75, 0), font_size=34
    )
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=82)
    return out.getvalue()
