"""The notice of assignment: what the debtor is told before he pays, and the proof that it reached him.

Notice makes an assignment bind the debtor (Civil Code 546); a later payment to the assignor frees him no more.
What he is told is kept word for word and hashed; the hash stands in the acknowledgement that he signs, and the
chain records it. So three things prove receipt: the words, when he was first shown them and through which
door, and his own signature over their hash.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chain.clock import rfc3339
from chain.document import document_hash
from chain.errors import InvalidValueError
from finance.payout_accounts import pay_in_reference
from finance.payouts import collection_account
from finance.records import NoticeRecord

if TYPE_CHECKING:
    import datetime as dt

    from finance.ports import Books
    from finance.records import AdvanceRecord, ReceivableRecord

WORDS: Final = {
    "version": "2026-11",
    "zh": (
        "应收账款转让通知: 依据民法典第545至547条及第761条以下, 下列运单项下应付运费已由权利人转让(质押)给放款机构。"
        "请于到期日只向下列收款账户并注明付款编号付款; 自本通知送达起, 向权利人付款不再产生清偿效力。"
        "对该运费如有异议、抵销或争议, 请立即告知。"
    ),
    "en": (
        "Notice of assignment: under the Civil Code, art. 545 to 547 and 761 ff., the freight owed on the waybill"
        " below has been assigned (pledged) to the lender. Pay it when due to the collection account below alone,"
        " under its reference; from receipt of this notice a payment to the assignor frees you no more."
        " Tell us at once of any defence, set-off or dispute."
    ),
}
"""What every notice says; the particulars stand beside it."""


def notice_of(
    advance: AdvanceRecord, receivable: ReceivableRecord, at: dt.datetime
) -> NoticeRecord:
    """The notice for the debtor of an advance: who, to whom, how much, where to pay, the words."""
    account = collection_account(advance.waybill)
    content = {
        "kind": "notice of assignment",
        "words": WORDS,
        "advance": advance.advance,
        "waybill": advance.waybill,
        "trip": advance.trip,
        "debtor": str(receivable.debtor),
        "assignor": str(advance.borrower),
        "assignee": str(advance.lender),
        "freight_fen": receivable.freight_fen,
        "term_days": receivable.term_days,
        "collection_account": account,
        "payment_reference": pay_in_reference(account),
        "made_at": rfc3339(at),
    }
    return NoticeRecord(advance.advance, document_hash(content), content, at)


def tell_debtor(
    books: Books, advance: AdvanceRecord, *, now: dt.datetime, to: str, channel: str
) -> NoticeRecord:
    """The notice as the debtor sees it, made once; his first sight of it is kept.

    Args:
        books: where notices and receivables are.
        advance: requested on chain.
        now: the chain's time.
        to: who looks, for the debtor.
        channel: through which door.

    Raises:
        InvalidValueError: the request is not on chain yet, so nothing is assigned.
    """
    held = books.find_notice(advance.advance)
    if held is None:
        receivable = books.find_receivable(advance.waybill)
        if receivable is None:
            raise InvalidValueError("the request is not on chain yet", field="advance")
        held = notice_of(advance, receivable, now)
    if held.shown_at is None:
        held = replace(held, shown_at=now, shown_to=to, channel=channel)
    books.save_notice(held)
    return held
