"""A trail's runs: many of the same call in a row stand together, and nothing is lost or put out of order."""

from __future__ import annotations

import datetime as dt

from api.portals.chain_trail import MANY_ALIKE, Transaction, runs_of

AT = dt.datetime(2026, 1, 26, tzinfo=dt.UTC)


def sent(function: str, place: int) -> Transaction:
    return Transaction(
        hash=f"0x{place:064x}", state="final", block=place, block_hash="", at=AT, contract="DeliveryRegistry",
        function=function, address="", gas=1, reason="", confirmations=1, events=(),
    )  # fmt: skip


def test_many_alike_in_a_row_are_one_run_and_few_stay_apart():
    calls = ["load", *["commitTrack"] * (MANY_ALIKE + 1), "attest", "attest", "confirm"]
    trail = [sent(function, place) for place, function in enumerate(calls)]
    runs = runs_of(trail)
    assert [len(run) for run in runs] == [1, MANY_ALIKE + 1, 1, 1, 1]
    assert [one for run in runs for one in run] == trail
