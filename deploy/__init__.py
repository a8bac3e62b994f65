"""Everything that stands a system up: set-up, node, contracts, migrations, demo."""

from __future__ import annotations
