"""The shared record and the only door to it."""

from __future__ import annotations
