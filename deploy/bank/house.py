"""The custodian's account at the sandbox bank, and how a system is joined to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from finance.iso20022 import BankAccount

if TYPE_CHECKING:
    from collections.abc import Mapping

BANK: Final = "102100099996"
"""The sandbox bank's 12 CNAPS digits."""

HOUSE: Final = BankAccount("存管银行", "6222999900000001", BANK)
"""The account that a new sandbox bank opens for the custodian: payouts leave from it, freight comes in on it."""


def joining(host: str, port: int, house: BankAccount = HOUSE) -> Mapping[str, str]:
    """The settings that join a system to the bank at an address."""
    shown = f"[{host}]" if ":" in host else host
    return {
        "YUNDAN_BANK_URL": f"http://{shown}:{port}",
        "YUNDAN_HOUSE_HOLDER": house.holder,
        "YUNDAN_HOUSE_NUMBER": house.number,
        "YUNDAN_HOUSE_BANK": house.bank,
    }
