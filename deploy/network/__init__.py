"""A permissioned network of validators, to run the contracts on."""

from __future__ import annotations
