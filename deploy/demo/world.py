"""What the demo's parties agree on: prices, windows, plates, terminals, terms. Pure."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
from typing import TYPE_CHECKING, Any

from chain.clock import rfc3339
from deploy.bank.house import BANK
from deploy.demo.cast import Member, driver_handle, party_id
from deploy.demo.roads import (
    CORRIDOR_M,
    GATE_RADIUS_M,
    PLACES,
    Drive,
    line_between,
    point_at,
)
from finance.iso20022 import BankAccount

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracking.fix import Fix

STARTS = dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC)
"""The demo's clock begins here: shortly before the first recorded position."""

ENDS = dt.datetime(2026, 1, 26, 20, 0, tzinfo=dt.UTC)

ROOT_FEN, MIDDLE_FEN, DRIVER_FEN = 100_000, 90_000, 72_000
"""Freight of a trip, tier by tier: 1,000.00, 900.00 and 720.00 yuan."""

QUANTITY_KG = 12_000
VAULT_FEN = 2_000_000
TERM_DAYS = 30

LINE = {
    "limit_fen": 1_500_000,
    "rate_ppm": 120_000,
    "penalty_ppm": 180_000,
    "ceiling_ppm": 240_000,
    "fee_bps": 10,
    "advance_bps": 8_000,
    "tolerance_bps": 300,
    "tenor_days": 45,
    "grace_days": 3,
}
"""12 % a year, fee 0.1 %, at most 80 % of the receivable, shortage up to 3 % releases by itself."""

_PROVINCES = "苏皖浙鲁沪粤川豫鄂湘冀赣闽渝津"


def plate(vehicle: str) -> str:
    """An invented plate for a vehicle."""
    digest = hashlib.sha256(vehicle.encode()).hexdigest().upper()
    return f"{_PROVINCES[int(digest[:2], 16) % len(_PROVINCES)]}A·{digest[2:4]}{vehicle[-3:]}"


def phone(vehicle: str) -> str:
    """The invented phone of a vehicle's terminal."""
    return f"138{int(hashlib.sha256(vehicle.encode()).hexdigest()[:8], 16) % 10**8:08d}"


def route_name(drive: Drive) -> str:
    """The name of the planned route between a drive's places."""
    return f"{drive.loading}-{drive.unloading}"


def shipping_note(drive: Drive) -> str:
    """托运单号 of a drive."""
    return f"YD20260126-{drive.key}"


def planned_routes(
    drives: Iterable[Drive], line: Sequence[tuple[float, float]]
) -> dict[str, dict[str, Any]]:
    """The planned routes that some drives use, as the API takes them."""
    places = {place.code: place for place in PLACES}
    routes = {}
    for drive in drives:
        start, end = places[drive.loading], places[drive.unloading]
        gates = [point_at(line, place.at_m) for place in (start, end)]
        routes[route_name(drive)] = {
            "name": route_name(drive),
            "origin": start.name_zh,
            "destination": end.name_zh,
            "plan": {
                "planned_route": [
                    list(point) for point in line_between(line, start.at_m, end.at_m)
                ],
                "pickup": {"lon": gates[0][0], "lat": gates[0][1], "radius_m": GATE_RADIUS_M},
                "delivery": {"lon": gates[1][0], "lat": gates[1][1], "radius_m": GATE_RADIUS_M},
                "corridor_half_width_m": CORRIDOR_M,
            },
        }
    return routes


def window(fixes: Sequence[Fix]) -> tuple[dt.datetime, dt.datetime]:
    """Loading from and delivery by: around the recorded run."""
    if not fixes:
        return STARTS, ENDS
    first = dt.datetime.fromtimestamp(fixes[0].time, dt.UTC)
    last = dt.datetime.fromtimestamp(fixes[-1].time, dt.UTC)
    return first - dt.timedelta(seconds=30), last + dt.timedelta(minutes=30)


def waybills_csv(drives: Sequence[Drive], tracks: dict[str, list[Fix]]) -> str:
    """Three tiers a trip, as a logistics firm would export them; refs are ``KEY/tier``."""
    columns = (
        "ref", "parent_ref", "issuer", "performer", "consignee", "shipping_note", "serial", "plate",
        "terminal", "route", "goods", "unit", "quantity_milli", "freight_fen", "load_from",
        "deliver_by", "term_days", "sign_by",
    )  # fmt: skip
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for drive in drives:
        load_from, deliver_by = window(tracks[drive.key])
        chain = ("consignor", "carrier", "subcontractor", driver_handle(drive))
        prices = (ROOT_FEN, MIDDLE_FEN, DRIVER_FEN)
        if drive.alteration == "overpriced":
            prices = (ROOT_FEN, MIDDLE_FEN, MIDDLE_FEN + 10_000)
        for tier, price in enumerate(prices):
            is_leaf = tier == len(prices) - 1
            row: dict[str, Any] = {
                "ref": f"{drive.key}/{tier}",
                "parent_ref": f"{drive.key}/{tier - 1}" if tier else "",
                "issuer": party_id(chain[tier]),
                "performer": party_id(chain[tier + 1]),
                "consignee": party_id(f"consignee-{drive.unloading}"),
                "shipping_note": shipping_note(drive),
                "goods": "白砂糖",
                "unit": "t",
                "quantity_milli": QUANTITY_KG,
                "freight_fen": price,
                "load_from": rfc3339(load_from if is_leaf else STARTS),
                "deliver_by": rfc3339(deliver_by if is_leaf else ENDS),
                "term_days": TERM_DAYS,
                "sign_by": rfc3339(ENDS),
            }
            if is_leaf:
                row |= {
                    "serial": "0101",
                    "plate": plate(drive.vehicle),
                    "terminal": phone(drive.vehicle),
                    "route": route_name(drive),
                }
            writer.writerow(row)
    return out.getvalue()


def bank_account(member: Member) -> BankAccount:
    """A party's invented account at the demo's bank, in its own name."""
    digits = int(
        hashlib.sha256(f"yundan demo account {member.handle}".encode()).hexdigest()[:12], 16
    )
    return BankAccount(member.name_zh, f"62220{digits % 10**14:014d}", BANK)
