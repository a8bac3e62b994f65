"""The doors: HTTP, portals, composition root and settings."""

from __future__ import annotations
