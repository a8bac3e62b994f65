"""What a firm runs on its own server: it holds the key, signs typed data and calls /v1."""

from __future__ import annotations

from api.client.session import ClientError, YundanClient
from api.object_ids import plain

__all__ = ["ClientError", "YundanClient", "plain"]
