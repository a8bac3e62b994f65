"""What a pack tells people, in Chinese and English: a function of the pack, so that the verifier can say it again."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from api.verifier.pack import PARTIES, VERDICT
from chain.bindings import events
from chain.bindings.enums import Verdict
from chain.clock import rfc3339
from chain.money import yuan_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from api.verifier.money import Loan
    from api.verifier.reading import Reading
    from api.verifier.story import Story

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
    events.AdvanceExtended: ("展期", "extended", ""),
    events.AdvanceRepaid: ("还款", "repaid", "principal"),
    events.AdvanceClosed: ("结清", "closed", ""),
    events.AdvanceDefaulted: ("违约", "default", ""),
    events.AdvanceWrittenOff: ("核销", "written off", "principal"),
}

HOW = (
    "不必相信我们：在任何机器上运行以下命令，一个可信的区块哈希即可，无需联网。",
    "Do not trust us: run this anywhere; one block hash that you trust is enough, no network.",
)
COMMANDS = (
    "yundan audit verify PACK.zip --trust BLOCKHASH\n"
    "yundan audit verify PACK.zip --rpc https://your-node"
)
_STYLE = (
    "body{font:15px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2733}"
    "h1{font-size:1.5rem}h2{font-size:1.1rem;border-bottom:1px solid #c8d2dc;margin-top:2rem}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem;"
    "border-bottom:1px solid #e4eaf0;vertical-align:top}td.n{text-align:right;font-variant-numeric:"
    "tabular-nums}code{font-size:.8em;overflow-wrap:anywhere}small{color:#5a6b7b}"
)


def sheet_of(reading: Reading) -> dict[str, Any]:
    """What people are told of a pack, as plain values: texts, money in yuan, times in UTC."""
    names = party_names(reading.pack.json(PARTIES))

    def name(party: int) -> str:
        return names.get(party, f"party {party}")

    story, trip = reading.story, reading.trip
    return {
        "trip": trip,
        "delivered": any(one.event.trip == trip for one in story.of(events.DeliveryCompleted)),
        "chain_id": reading.chain_id,
        "anchor": reading.pack.manifest["anchor"],
        "anchor_hash": reading.pack.manifest["anchor_hash"],
        "waybills": [
            {
                "tier": held.tier,
                "issuer": name(held.form.issuer) + (" (declared)" if held.declared else ""),
                "performer": name(held.form.performer),
                "freight": yuan_text(held.freight),
            }
            for held in sorted(reading.chain.waybills.values(), key=lambda one: one.tier)
        ],
        "road": _road(reading.pack.json(VERDICT)),
        "loans": [_loan(loan, name) for loan in reading.loans.values()],
        "timeline": list(_timeline(story, name)),
    }


def party_names(parties: Any) -> dict[int, str]:
    """What parties are called in both languages, where the pack shows it."""
    shown = {int(one["id"]): one["names"]["opened"] for one in parties if one["names"]}
    return {
        party: f"{opened['name_zh'][0]} {opened['name_en'][0]}"
        for party, opened in shown.items()
        if opened.keys() >= {"name_zh", "name_en"}
    }


def _road(verdict: Any) -> dict[str, Any] | None:
    if not verdict:
        return None
    return {
        "verdict": verdict["verdict"],
        "used": verdict["fixes"]["used"],
        "given": verdict["fixes"]["given"],
        "distance_m": verdict["distance_m"],
        "covered_m": verdict["route"]["covered_m"],
        "length_m": verdict["route"]["length_m"],
        "findings": [
            {
                "code": one["code"],
                "severity": one["severity"],
                "detail": ", ".join(f"{key} {value}" for key, value in one["detail"].items()),
            }
            for one in verdict["findings"]
        ],
    }


def _loan(loan: Loan, name: Callable[[int], str]) -> dict[str, Any]:
    held = loan.advance
    return {
        "id": loan.id,
        "borrower": name(loan.line.borrower),
        "lender": name(loan.line.lender),
        "state": held.state.value,
        "principal": yuan_text(loan.request.principal),
        "rate_ppm": loan.terms.rate_ppm,
        "outstanding": yuan_text(held.outstanding),
        "payees": [
            {"name": name(payee.party), "amount": yuan_text(payee.amount)}
            for payee in loan.request.payees
        ],
        "repayments": [
            {
                "at": rfc3339(one.at),
                **{
                    part: yuan_text(getattr(shares, part))
                    for part in ("fee", "penalty", "interest", "principal")
                },
            }
            for one, shares in loan.steps
        ],
    }


def _timeline(story: Story, name: Callable[[int], str]) -> Iterator[dict[str, str]]:
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
        yield {
            "at": rfc3339(one.at),
            "zh": zh,
            "en": en,
            "more": more,
            "transaction": one.transaction,
        }


# -- as a page -------------------------------------------------------------------------------------


def render_page(sheet: Mapping[str, Any]) -> bytes:
    """The page of a sheet; the same pack gives the same bytes."""
    done = "已交付 delivered" if sheet["delivered"] else "未完成 not complete"
    parts = [
        "<!doctype html><html lang=zh><meta charset=utf-8>",
        f"<title>运单证据包 Yundan pack</title><style>{_STYLE}</style>",
        "<h1>运单证据包 · Lender pack</h1>",
        f"<p>运输任务 trip <code>{escape(sheet['trip'])}</code> {done}</p>",
        "<h2>运单链 Chain of waybills</h2>",
        _table(
            "层 tier|托运方 issuer|承运方 performer|运费 freight ¥",
            ([w["tier"], w["issuer"], w["performer"], w["freight"]] for w in sheet["waybills"]),
            money={3},
        ),
    ]
    road = sheet["road"]
    if road:
        parts += [
            "<h2>轨迹 Road</h2>",
            (
                f"<p>结论 verdict: <b>{escape(road['verdict'])}</b>, {road['used']} / {road['given']} "
                f"定位点 fixes, {road['distance_m']} m, 路线覆盖 route covered {road['covered_m']} / "
                f"{road['length_m']} m</p>"
            ),
            _table(
                "发现 finding|程度 severity|数字 numbers",
                ([f["code"], f["severity"], f["detail"]] for f in road["findings"]),
            ),
        ]
    for loan in sheet["loans"]:
        parts += [
            "<h2>垫付 Advance</h2>",
            (
                f"<p><code>{escape(loan['id'])}</code><br>借款人 borrower {escape(loan['borrower'])}, "
                f"放款机构 lender {escape(loan['lender'])}: <b>{loan['state']}</b>, "
                f"¥{loan['principal']}, {loan['rate_ppm']} ppm, 未还 outstanding ¥{loan['outstanding']}</p>"
            ),
            _table(
                "收款方 payee|金额 amount ¥",
                ([payee["name"], payee["amount"]] for payee in loan["payees"]),
                money={1},
            ),
            _table(
                "还款 repaid|费用 fee|罚息 penalty|利息 interest|本金 principal",
                (list(one.values()) for one in loan["repayments"]),
                money={1, 2, 3, 4},
            ),
        ]
    parts += [
        "<h2>时间线 Timeline (UTC)</h2>",
        _table(
            "时间 time|事件 event||交易 transaction",
            (
                [t["at"], f"{t['zh']} {t['en']}", t["more"], t["transaction"]]
                for t in sheet["timeline"]
            ),
            money={2},
        ),
        "<h2>如何核验 How to verify</h2>",
        *(f"<p>{escape(line)}</p>" for line in HOW),
        f"<pre>{escape(COMMANDS)}</pre>",
    ]
    return "\n".join(parts).encode()


def _table(head: str, rows: Iterable[list[Any]], *, money: Collection[int] = ()) -> str:
    lines = ["<table><tr>" + "".join(f"<th>{word}" for word in head.split("|"))]
    lines += [
        "<tr>"
        + "".join(
            f"<td class=n>{escape(str(cell))}" if at in money else f"<td>{escape(str(cell))}"
            for at, cell in enumerate(row)
        )
        for row in rows
    ]
    return "\n".join([*lines, "</table>"])
