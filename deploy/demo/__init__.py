"""The whole product on one machine, on real positions, told as a story."""

from __future__ import annotations
