"""Lines, advances, books and payouts."""

from __future__ import annotations
