"""Checks a lender pack without trusting us: pure modules in, one file read, no network unless asked for."""

from __future__ import annotations
