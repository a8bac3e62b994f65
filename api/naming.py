"""From what people write to what stands on chain: keyed hashes of numbers and plates, one form each.

The words are brought to one form first, so that 苏A·4F738 and 苏a 4f738 are one vehicle.
"""

from __future__ import annotations

import re
import unicodedata

from chain.document import keyed_hash
from chain.ids import Hash32, TripId

_BETWEEN = re.compile(r"[\s·•・.\-_]+")


class Names:
    """The keyed hashes of one platform.

    Args:
        key: the platform's secret; another platform's names differ in everything.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def shipping_note(self, number: str) -> Hash32:
        """A shipping note number (托运单号)."""
        return keyed_hash(self._key, "shipping note", _plain(number))

    def trip(self, number: str, serial: str) -> TripId:
        """A trip: shipping note number and serial number (分段分单号)."""
        return TripId(keyed_hash(self._key, "trip", _plain(number), serial))

    def vehicle(self, plate: str) -> Hash32:
        """A vehicle by its plate."""
        return keyed_hash(self._key, "vehicle", _BETWEEN.sub("", _plain(plate)))

    def receivable(self, consignor: int, number: str, serial: str, tier: int) -> Hash32:
        """What is pledged once across all lenders: (consignor, shipping note, serial, tier)."""
        words = ("receivable", str(consignor), _plain(number), serial, str(tier))
        return keyed_hash(self._key, *words)

    def shipment(self, consignor: int, consignee: int, goods: str) -> Hash32:
        """What is carried from whom to whom, to see one freight under two numbers."""
        return keyed_hash(self._key, "shipment", str(consignor), str(consignee), _plain(goods))

    def receipt_code(self, trip: TripId) -> str:
        """Six digits that the consignor tells the consignee: who knows them did not learn them from the driver."""
        return f"{int(keyed_hash(self._key, 'receipt code', trip), 16) % 1_000_000:06d}"


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().upper()
