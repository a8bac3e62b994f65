"""Positions coming in over the wire: the JT/T 808 door, its sessions, and a terminal to play against it."""

from __future__ import annotations
