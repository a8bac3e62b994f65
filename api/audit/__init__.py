"""The lender pack: gathers from database and node what ``api.verifier`` needs to trust neither."""

from __future__ import annotations
