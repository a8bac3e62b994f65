"""The shared record and the only door to it."""

from __future__ import annotations

import contextlib
import sys

# py_ecc, which eth_account loads, raises the interpreter's recursion limit to 100,000: JSON nested that
# deep then overruns the C stack and kills the process. It is loaded here, first, and the limit put back.
_limit = sys.getrecursionlimit()
with contextlib.suppress(ImportError):
    import py_ecc  # noqa: F401  only loaded
sys.setrecursionlimit(_limit)
