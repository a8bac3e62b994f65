"""Many at once: waybills from a CSV or Excel file and back, as jobs that survive a crash."""

from __future__ import annotations
