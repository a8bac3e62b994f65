"""Writes the lender pack of a trip: one zip, the same bytes for the same record."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rfc8785
from eth_utils.crypto import keccak

from api.audit.record import Recorder
from api.verifier import pack as packs
from api.verifier.blocks import read_headers
from api.verifier.pack import Pack
from api.verifier.report import Report
from api.verifier.signatures import PackSeal
from api.verifier.state import expected_records
from api.verifier.verify import Reading, check_reading, manifest_entry
from chain.abi import hash32, json_value
from chain.clock import rfc3339
from chain.errors import NotFoundError
from chain.ids import Hash32, PartyId, TripId, WaybillId
from finance.audit import CUSTODIAN, book_of
from finance.forests import shipped_forest  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from api.bootstrap import Container, Services
    from chain.bindings.structs import Waybill
    from chain.client import ChainClient
    from chain.ports import Signer
    from finance.ledger import Entry
