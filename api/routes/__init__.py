"""Routes under /v1, one file a noun; each takes a request to one use case."""

from __future__ import annotations
