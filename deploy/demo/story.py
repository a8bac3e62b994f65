"""The story at the end of the demo: every figure comes from the run."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from api.bootstrap import Container
from chain.bindings.settlement_token import SettlementToken
from chain.money import yuan_text
from chain.tables import OutgoingTransactionRow
from deploy.demo.cast import everyone
from deploy.demo.errors import StageFailedError
from deploy.demo.roads import PLACES, Drive
from deploy.demo.world import DRIVER_FEN

if TYPE_CHECKING:
    from deploy.demo.stages import World

_NAMES = {member.handle: f"{member.name_zh} {member.name_en}" for member in everyone()}


def yuan(amount: int) -> str:
    """An amount as people read it."""
    return f"¥{yuan_text(amount)}"


def name(handle: str) -> str:
    """Who a handle is."""
    return _NAMES[handle]


def tell(world: World) -> None:
    """Prints the story and checks that what should hold holds.

    Raises:
        StageFailedError: a trip that should have been paid was not, or books and chain differ.
    """
    paid = _tell_trips(world)
    _tell_time(world)
    _tell_gas(world)
    _tell_books(world)
    if paid < 8:
        raise StageFailedError(f"only {paid} trips were paid; at least eight should be")


def _tell_trips(world: World) -> int:
    print("\n  Trips (运输任务); positions recorded, speeds derived since the record has none")
    paid = 0
    for drive in world.drives():
        trip = world.trip(drive)
        advance = world.advance(drive)
        judged = trip["judged"] or {}
        line = f"  {drive.key:<14} {drive.loading}→{drive.unloading}  {trip['verdict'] or '-':<6}"
        road = judged.get("route", {})
        if road:
            line += f" {road['covered_m'] / 1000:5.1f} of {road['length_m'] / 1000:4.1f} km, {trip['batches']:2d} commitments"
        if trip["paid_fen"]:
            paid += 1
            print(f"{line}  {yuan(trip['paid_fen'])} to the driver, loan {advance['state']}")
            continue
        print(f"{line}  NO MONEY")
        for why in _why(drive, trip, advance):
            print(f"      · {why}")
    for fault in world.refused:
        print(
            f"  row {fault['row']} of the CSV, {fault['column']}: {fault['message']} — refused before anyone signed"
        )
    print(f"  {paid} trips paid the same day, driver first.")
    return paid


def _why(drive: Drive, trip: dict[str, Any], advance: dict[str, Any]) -> list[str]:
    reasons = []
    if drive.alteration:
        reasons.append(f"altered for this demo: {drive.expect}")
    else:
        reasons.append(f"as recorded: {drive.expect}")
    reasons += [
        f"{finding['severity']}: {finding['code']} {_facts(finding['detail'])}"
        for finding in (trip["judged"] or {}).get("findings", [])
        if finding["severity"] != "info"
    ]
    if advance["state"] == "releasable":
        reasons.append(
            f"the advance waits for the lender: {advance['reason']} "
            f"({trip['accepted_milli']} of {trip['loaded_milli']} kg accepted)"
        )
    elif trip["verdict"] == "review":
        reasons.append("a review releases only with the lender's own signature")
    elif trip["verdict"] == "fail":
        reasons.append("receipt signed, but no two attestors will sign a pass")
    return reasons


def _facts(detail: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in detail.items() if value is not None)


def _tell_time(world: World) -> None:
    if not world.latencies:
        print("\n  (resumed run: no receipt was signed in this one, so nothing was timed)")
        return
    ordered = sorted(world.latencies)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    print(
        f"\n  From the consignee's POST to the API showing the driver's money: "
        f"p50 {statistics.median(ordered):.2f} s, p95 {p95:.2f} s ({len(ordered)} receipts)"
    )
    if world.bank_latencies:
        ordered = sorted(world.bank_latencies)
        p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
        print(
            f"  From the consignee's signature to the bank's acceptance of the payout: "
            f"p50 {statistics.median(ordered):.2f} s, p95 {p95:.2f} s ({len(ordered)} payouts)"
        )


def _tell_gas(world: World) -> None:
    table = OutgoingTransactionRow.__table__  # type: ignore[attr-defined]  # sqlmodel's
    with world.storage.read() as session:
        rows = session.execute(
            sa.select(
                table.c.contract,
                table.c.function,
                sa.func.count(),
                sa.func.min(table.c.gas_used),
                sa.func.avg(table.c.gas_used),
                sa.func.max(table.c.gas_used),
            )
            .where(table.c.gas_used.is_not(None), table.c.function != "constructor")
            .group_by(table.c.contract, table.c.function)
            .order_by(sa.func.min(table.c.id))
        ).all()
    print("\n  Gas of each step            times     least   average      most")
    for contract, function, count, least, average, most in rows:
        print(
            f"  {contract + '.' + function:<30} {count:3d} {least:9,d} {round(average):9,d} {most:9,d}"
        )


def _tell_books(world: World) -> None:
    lender = world.desk("lender")
    balance = lender.get("/v1/ledger/trial-balance")
    print(
        f"\n  The lender's trial balance ({'balanced' if balance['balanced'] else 'NOT BALANCED'})"
    )
    for row in balance["data"]:
        print(
            f"    {row['account']:<34} {yuan_text(row['debit_fen']):>14} {yuan_text(row['credit_fen']):>14}"
        )
    print(
        f"    {'':<34} {yuan_text(balance['debit_fen']):>14} {yuan_text(balance['credit_fen']):>14}"
    )
    container = Container(world.demo.settings())
    try:
        with container.write() as services:
            block = container.find_handled_block()
            if block is None:
                raise StageFailedError("no block was handled")
            differences = services.finance.reconcile(block)
    finally:
        container.close()
    supply = world.client.fetch(SettlementToken.total_supply(), block=block.number)
    print(
        f"  Token supply {yuan(supply)}. Chain, ledger and token at block {block.number}: "
        f"{'they agree' if not differences else 'THEY DIFFER'}"
    )
    for one in differences:
        print(f"    {one}")
    if not balance["balanced"] or differences:
        raise StageFailedError("chain, ledger and token do not agree")


__all__ = ["DRIVER_FEN", "PLACES", "name", "tell", "yuan"]
