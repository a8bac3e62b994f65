"""Receipts without an account: a link that is used once, what is signed through it, and what is kept of it."""

from __future__ import annotations
