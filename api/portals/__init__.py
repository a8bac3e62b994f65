"""Pages for people, rendered on the server from the same services as /v1."""

from __future__ import annotations
