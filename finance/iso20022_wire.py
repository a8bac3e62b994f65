"""How ISO 20022 messages are read and written: bytes to a checked document and back, fen to decimal text and back.

The schemas are pyiso20022's classes; the facets they carry (lengths, patterns, occurrences, digits) are checked
both ways, for neither that library nor its parser does it. XML is parsed without document types or entities.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring
from xsdata.exceptions import ParserError
from xsdata.formats.dataclass.context import XmlContext
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.formats.dataclass.serializers.config import SerializerConfig
from xsdata.models.datatype import XmlDateTime

from chain.clock import beijing_day, require_utc
from chain.money import JSON_MAX_FEN, Fen, fen
from finance.accrual import date_of
from finance.payout_errors import MessageInvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

CURRENCY: Final = "CNY"
CLEARING: Final = "CNAPS"
"""The clearing system whose twelve-digit member numbers name Chinese banks."""

MOST_BYTES: Final = 1 << 20
"""A longer message is refused unread."""


_CONTEXT = XmlContext()
_PARSER = XmlParser(
    context=_CONTEXT,
    config=ParserConfig(fail_on_unknown_properties=True, fail_on_converter_warnings=True),
)
_WRITER = XmlSerializer(context=_CONTEXT, config=SerializerConfig(xml_declaration=True))


@dataclass(frozen=True, slots=True, repr=False)
class BankAccount:
    """An account at a bank. Its printed form shows the last four digits alone.

    Attributes:
        holder: the name it is held in.
        number: at most 34 letters and digits.
        bank: the bank's CNAPS number, 12 digits.
    """

    holder: str
    number: str
    bank: str

    def __post_init__(self) -> None:
        """Raises MessageInvalidError: a part has not its form; names the field."""
        if not 1 <= len(self.holder) <= 140 or self.holder != self.holder.strip():
            raise MessageInvalidError(
                "a holder's name has 1 to 140 characters and no blanks around it", field="holder"
            )
        if not self.holder.isprintable():
            raise MessageInvalidError("a holder's name is printable text", field="holder")
        if not re.fullmatch(r"[0-9A-Za-z]{1,34}", self.number):
            raise MessageInvalidError(
                "an account number has 1 to 34 letters and digits", field="number"
            )
        if not re.fullmatch(r"[0-9]{12}", self.bank):
            raise MessageInvalidError("a bank is named by its 12 CNAPS digits", field="bank")

    def __repr__(self) -> str:
        return f"BankAccount(…{self.number[-4:]} at {self.bank})"


# -- amounts --------------------------------------------------------------------------------------


def yuan_of(amount_fen: int) -> Decimal:
    """Fen as a decimal of yuan with two places, exact.

    >>> str(yuan_of(123456))
    '1234.56'
    """
    return Decimal(fen(amount_fen)).scaleb(-2)


def fen_of(amount: Decimal, *, field: str = "Amt") -> Fen:
    """Yuan as whole fen, exact.

    Raises:
        MessageInvalidError: not finite, negative, a fraction of a fen, or too large for the books.
    """
    _, digits, exponent = amount.as_tuple()
    if amount.is_signed() or not isinstance(exponent, int) or exponent > 0 or len(digits) > 18:
        raise MessageInvalidError("an amount is a plain decimal of 18 digits at most", field=field)
    whole, rest = divmod(amount.scaleb(2), 1)
    if rest:
        raise MessageInvalidError(
            "an amount in renminbi has no fraction of a fen", field=field, given=str(amount)
        )
    if whole > JSON_MAX_FEN:
        raise MessageInvalidError("more than the books can hold", field=field, given=str(amount))
    return fen(int(whole), field=field)


# -- reading and writing --------------------------------------------------------------------------


def write_document(document: Any, namespace: str) -> bytes:
    """The document as XML bytes.

    Raises:
        MessageInvalidError: a value does not fit the schema.
    """
    _require_valid(document)
    return _WRITER.render(document, ns_map={None: namespace}).encode()


def read_document(message: bytes, kind: type[T], namespace: str) -> T:
    """Raises MessageInvalidError: anything but a valid document of this kind."""
    if len(message) > MOST_BYTES:
        raise MessageInvalidError("the message is too long", most_bytes=MOST_BYTES)
    try:
        root = fromstring(message, forbid_dtd=True)
    except DefusedXmlException as error:
        raise MessageInvalidError("a message carries no document type and no entities") from error
    except (ParseError, ValueError, LookupError) as error:
        raise MessageInvalidError(f"broken XML: {error}") from error
    if root.tag != f"{{{namespace}}}Document":
        raise MessageInvalidError(
            "another kind of message", expected=namespace, given=str(root.tag)[:120]
        )
    try:
        document = _PARSER.parse(root, kind)
    except (ParserError, TypeError, ValueError, ArithmeticError) as error:
        raise MessageInvalidError(f"against the schema: {error}") from error
    _require_valid(document)
    return document


def _require_valid(document: object) -> None:
    fault = next(_faults(document, type(document).__name__), None)
    if fault is not None:
        raise MessageInvalidError(f"against the schema: {fault}", field=fault.partition(":")[0])


def _faults(value: Any, path: str) -> Iterator[str]:
    """Each breach of the facets that the schema's classes carry: ``path: what``."""
    set_fields = 0
    for one in dataclasses.fields(value):
        facets = one.metadata
        held = getattr(value, one.name)
        where = f"{path}/{facets.get('name', one.name)}"
        items = held if isinstance(held, list) else [] if held is None else [held]
        set_fields += bool(items)
        if held is None and facets.get("required"):
            yield f"{where}: missing"
        if isinstance(held, list):
            low, high = facets.get("min_occurs", 0), facets.get("max_occurs", len(held))
            if not low <= len(held) <= high:
                yield f"{where}: stands {len(held)} times, allowed are {low} to {high}"
        for item in items:
            if dataclasses.is_dataclass(item):
                yield from _faults(item, where)
            elif isinstance(item, str) and not isinstance(item, Enum):
                yield from _text_faults(item, facets, where)
            elif isinstance(item, Decimal):
                yield from _number_faults(item, facets, where)
    if "Choice" in type(value).__name__ and set_fields != 1:
        yield f"{path}: exactly one alternative must stand"


def _text_faults(text: str, facets: Any, where: str) -> Iterator[str]:
    if not facets.get("min_length", 0) <= len(text) <= facets.get("max_length", len(text)):
        yield f"{where}: has {len(text)} characters"
    if "pattern" in facets and not re.fullmatch(facets["pattern"], text):
        yield f"{where}: has not the form {facets['pattern']}"


def _number_faults(number: Decimal, facets: Any, where: str) -> Iterator[str]:
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or exponent > 0:
        yield f"{where}: not a plain decimal"
        return
    most, places = facets.get("total_digits", 18), facets.get("fraction_digits", 17)
    if len(digits) > most or -exponent > places:
        yield f"{where}: too many digits"
    if number < facets.get("min_inclusive", number):
        yield f"{where}: below {facets['min_inclusive']}"


def account_part(module: Any, account: BankAccount) -> Any:
    """An account as pain messages have it."""
    identity = module.AccountIdentification4Choice(
        othr=module.GenericAccountIdentification1(id=account.number)
    )
    return module.CashAccount38(id=identity, ccy=CURRENCY)


def agent_part(module: Any, account: BankAccount) -> Any:
    """A bank by its clearing number."""
    member = module.ClearingSystemMemberIdentification2(
        clr_sys_id=module.ClearingSystemIdentification2Choice(prtry=CLEARING), mmb_id=account.bank
    )
    return module.BranchAndFinancialInstitutionIdentification6(
        fin_instn_id=module.FinancialInstitutionIdentification18(clr_sys_mmb_id=member)
    )


def bank_account_of(party: Any, account: Any, agent: Any, field: str) -> BankAccount:
    """Raises MessageInvalidError: name, account or bank is missing."""
    if party is None or party.nm is None or account is None or agent is None:
        raise MessageInvalidError("name, account and bank are needed", field=field)
    member = agent.fin_instn_id.clr_sys_mmb_id
    if member is None:
        raise MessageInvalidError("the bank is named by its clearing number", field=f"{field}Agt")
    return BankAccount(party.nm, number_of(account), member.mmb_id)


def number_of(account: Any) -> str:
    """The number of an account."""
    identity = account.id
    number: str = identity.iban if identity.othr is None else identity.othr.id
    return number


def amount_of(amount: Any, field: str) -> int:
    """Whole fen of an amount in renminbi.

    Raises:
        MessageInvalidError: another currency, or no whole fen.
    """
    if amount.ccy != CURRENCY:
        raise MessageInvalidError("only renminbi is paid here", field=field, given=amount.ccy)
    return fen_of(amount.value, field=field)


def text_of(remittance: Any) -> str:
    """What a payer wrote."""
    return " ".join(remittance.ustrd) if remittance is not None else ""


def code_of(reason: Any) -> str:
    """The code of a reason."""
    code: str = reason.cd if reason.cd is not None else reason.prtry
    return code


def xml_time(at: dt.datetime) -> XmlDateTime:
    """An instant as XML has it, whole seconds."""
    return XmlDateTime.from_datetime(require_utc(at).replace(microsecond=0))


def instant_of(at: XmlDateTime, field: str) -> dt.datetime:
    """Raises MessageInvalidError: it names no zone, or does not exist."""
    try:
        return require_utc(at.to_datetime())
    except (ValueError, OverflowError) as error:
        raise MessageInvalidError("a time needs its zone", field=field, given=str(at)) from error


def moment_of(choice: Any, field: str) -> dt.datetime:
    """The instant of a date or an instant."""
    if choice.dt_tm is not None:
        return instant_of(choice.dt_tm, field)
    day = day_of(choice, field)
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.timezone(dt.timedelta(hours=8)))


def day_of(choice: Any, field: str) -> dt.date:
    """The Beijing date of a date or an instant."""
    if choice.dt_tm is not None:
        return date_of(beijing_day(instant_of(choice.dt_tm, field)))
    try:
        day: dt.date = choice.dt.to_date()
    except (ValueError, OverflowError) as error:
        raise MessageInvalidError("no such date", field=field, given=str(choice.dt)) from error
    return day
