"""The sandbox bank: a process of its own, with its own store, that speaks ISO 20022 over HTTP."""

from __future__ import annotations
