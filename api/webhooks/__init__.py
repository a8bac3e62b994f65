"""What happened, told to those whom it concerns: events, and their delivery by Standard Webhooks."""

from __future__ import annotations
