"""Runs numeric cases of other systems through the product's own functions."""

from __future__ import annotations
