"""Why a receipt link does not open or sign."""

from __future__ import annotations

from api.errors import ApiError


class LinkUnknownError(ApiError):
    """There is no such link; scan the code on the driver's phone again."""

    code = "link_unknown"


class LinkGoneError(ApiError):
    """This link has expired or was replaced; ask the driver to show a new code."""

    code = "link_gone"


class LinkUsedError(ApiError):
    """This link has been used: the receipt is signed and cannot be signed again."""

    code = "link_used"


class CodeWrongError(ApiError):
    """The receiving code is wrong; the consignor has told it to the consignee."""

    code = "receipt_code_wrong"


class CodeLockedError(ApiError):
    """Too many wrong receiving codes; the driver must show a new code, the consignor tells the number."""

    code = "receipt_code_locked"


class OtherKeyError(ApiError):
    """This consignee signs with another key, which is not on this phone."""

    code = "receipt_other_key"
