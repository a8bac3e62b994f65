"""The page for people, in Chinese and English: a function of the pack, so that the verifier can write it again."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from chain.bindings import events
from chain.bindings.enums import TripState, Verdict
from chain.clock import rfc3339
from chain.money import yuan_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.verifier.money import Loan
    from api.verifier.story import Story
    from api.verifier.waybills import Chain

_WORDS: dict[type, tuple[str, str, str]] = {
    events.WaybillIssued: ("运单签发", "waybill issued", "freight"),
    events.WaybillAmended: ("运单变更", "waybill amended", "freight"),
    events.TripLoaded: ("装货", "loaded", ""),
    events.TrackCommitted: ("轨迹上链", "track committed", ""),
    events.DriveAttested: ("见证", "drive attested", ""),
    events.DeliveryConfirmed: ("签收", "receipt signed", ""),
    events.DeliveryDisputed: ("争议", "disputed", ""),
    events.DisputeResolved: ("争议解决", "dispute resolved", ""),
    events.DeliveryCompleted: ("交付完成", "delivery completed", ""),
    events.TripVoided: ("运输作废", "trip void", ""),
    events.AdvanceRequested: ("申请垫付", "advance requested", "principal"),
    events.DebtAcknowledged: ("确权", "debt acknowledged", ""),
    events.PayeeConsented: ("收款方同意", "payee consented", ""),
    events.AdvanceApproved: ("批准", "advance approved", "principal"),
    events.AdvanceDeclined: ("拒绝", "advance declined", ""),
    events.AdvanceReleasable: ("待放款", "release waits", ""),
    events.AdvanceReleased: ("放款", "advance released", "amount"),
    events.PayeePaid: ("受托支付", "payee paid", "amount"),
    events.AdvanceVoided: ("垫付作废", "advance void", ""),
    events.PayoutPaid: ("银行付款", "bank has paid", ""),
    events.FreightSettled: ("运费结算", "freight settled", "received"),
    events.AdvanceRepaid: ("还款", "repaid", "principal"),
    events.AdvanceClosed: ("结清", "closed", ""),
    events.AdvanceDefaulted: ("违约", "default", ""),
    events.AdvanceWrittenOff: ("核销", "written off", "principal"),
}

_STYLE = (
    "body{font:15px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2733}"
    "h1{font-size:1.5rem}h2{font-size:1.1rem;border-bottom:1px solid #c8d2dc;margin-top:2rem}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem;"
    "border-bottom:1px solid #e4eaf0;vertical-align:top}td.n{text-align:right;font-variant-numeric:"
    "tabular-nums}code{font-size:.8em;overflow-wrap:anywhere}small{color:#5a6b7b}"
)


def render_page(
    *, trip: str, story: Story, chain: Chain, loans: Mapping[str, Loan], parties: Any, verdict: Any
) -> bytes:
    """The page of a pack; the same pack gives the same bytes."""
    names = party_names(parties)

    def name(party: int) -> str:
        return escape(names.get(party, f"party {party}"))

    done = any(one.event.trip == trip for one in story.of(events.DeliveryCompleted))
    state = TripState.DELIVERED if done else TripState.LOADED
    parts = [
        "<!doctype html><html lang=zh><meta charset=utf-8>",
        f"<title>运单证据包 Yundan pack</title><style>{_STYLE}</style>",
        (
            f"<h1>运单证据包 · Lender pack</h1><p>运输任务 trip <code>{escape(trip)}</code> "
            f"{'已交付 delivered' if state is TripState.DELIVERED else '未完成 not complete'}</p>"
        ),
        (
            "<h2>运单链 Chain of waybills</h2><table><tr><th>层 tier<th>托运方 issuer<th>承运方 performer"
            "<th>运费 freight ¥"
        ),
    ]
    parts += [
        f"<tr><td>{held.tier}<td>{name(held.form.issuer)}{' (declared)' if held.declared else ''}"
        f"<td>{name(held.form.performer)}<td class=n>{yuan_text(held.freight)}"
        for held in sorted(chain.waybills.values(), key=lambda one: one.tier)
    ]
    parts.append("</table>")
    parts += _road(verdict)
    for loan in loans.values():
        parts += _loan(loan, name)
    parts.append("<h2>时间线 Timeline (UTC)</h2><table>")
    for one in story.events:
        words = _WORDS.get(type(one.event))
        if words is None:
            continue
        zh, en, field = words
        event: Any = one.event
        more = f"¥{yuan_text(getattr(event, field))}" if field else ""
        if isinstance(event, events.DriveAttested):
            more = f"{name(event.attestor)}: {Verdict(event.verdict).name.lower()}"
        elif isinstance(event, events.PayeePaid):
            more = f"{name(event.payee)} {more}"
        parts.append(
            f"<tr><td>{rfc3339(one.at)}<td>{zh} {en}<td class=n>{more}<td><code>{one.transaction}</code>"
        )
    parts += [
        "</table><h2>如何核验 How to verify</h2>",
        (
            "<p>不必相信我们：在任何机器上运行以下命令，一个可信的区块哈希即可，无需联网。"
            "<br>Do not trust us: run this anywhere; one block hash that you trust is enough, no network.</p>"
        ),
        (
            "<pre>yundan audit verify PACK.zip --trust BLOCKHASH\n"
            "yundan audit verify PACK.zip --rpc https://your-node</pre>"
        ),
    ]
    return "\n".join(parts).encode()


def party_names(parties: Any) -> dict[int, str]:
    """What parties are called in both languages, where the pack shows it."""
    shown = {int(one["id"]): one["names"]["opened"] for one in parties if one["names"]}
    return {
        party: f"{opened['name_zh'][0]} {opened['name_en'][0]}"
        for party, opened in shown.items()
        if opened.keys() >= {"name_zh", "name_en"}
    }


def _road(verdict: Any) -> list[str]:
    if not verdict:
        return []
    route, fixes = verdict["route"], verdict["fixes"]
    rows = [
        (
            f"<h2>轨迹 Road</h2><p>结论 verdict: <b>{escape(verdict['verdict'])}</b>, "
            f"{fixes['used']} / {fixes['given']} 定位点 fixes, {verdict['distance_m']} m, "
            f"路线覆盖 route covered {route['covered_m']} / {route['length_m']} m</p><table>"
        )
    ]
    rows += [
        f"<tr><td>{escape(one['code'])}<td>{escape(one['severity'])}<td>"
        f"<small>{escape(str(one['detail']))}</small>"
        for one in verdict["findings"]
    ]
    return [*rows, "</table>"]


def _loan(loan: Loan, name: Any) -> list[str]:
    held = loan.advance
    rows = [
        (
            f"<h2>垫付 Advance</h2><p><code>{escape(loan.id)}</code><br>借款人 borrower "
            f"{name(loan.line.borrower)}, 放款机构 lender {name(loan.line.lender)}: "
            f"<b>{held.state.value}</b>, ¥{yuan_text(loan.request.principal)}, "
            f"{loan.terms.rate_ppm} ppm, 未还 outstanding ¥{yuan_text(held.outstanding)}</p>"
            "<table><tr><th>收款方 payee<th>金额 amount ¥"
        )
    ]
    rows += [
        f"<tr><td>{name(payee.party)}<td class=n>{yuan_text(payee.amount)}"
        for payee in loan.request.payees
    ]
    rows.append(
        "</table><table><tr><th>还款 repaid<th>费用 fee<th>罚息 penalty<th>利息 interest<th>本金 principal"
    )
    rows += [
        f"<tr><td>{rfc3339(one.at)}"
        + "".join(
            f"<td class=n>{yuan_text(value)}"
            for value in (shares.fee, shares.penalty, shares.interest, shares.principal)
        )
        for one, shares in loan.steps
    ]
    return [*rows, "</table>"]
