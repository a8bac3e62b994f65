"""From fixes on the road to a signed verdict."""

from __future__ import annotations
