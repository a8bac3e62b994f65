"""The forests that ship with the product, as data."""

from __future__ import annotations

import functools
import json
from importlib import resources

from finance.risk import Forest, read_forest

PRESENT = "freight-advance-2.json"
"""The first version stays, so that what was decided by it replays."""


@functools.cache
def shipped_forest(name: str = PRESENT) -> Forest:
    """A shipped forest, read and checked once."""
    text = resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
    return read_forest(json.loads(text))
