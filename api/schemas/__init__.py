"""What the API takes and gives, one file a noun; strict, and closed to unknown fields."""

from __future__ import annotations
