"""What identity refuses; HTTP statuses stand in ``api.errors``."""

from __future__ import annotations

from api.errors import ApiError, ForbiddenScopeError
from chain.errors import YundanError


class SignInRefusedError(ApiError):
    """Login or proof is wrong; the answer does not say which."""

    code = "sign_in_refused"


class SecondFactorNeededError(ApiError):
    """This account has a second factor: send its code as well, or sign in with the passkey."""

    code = "second_factor_needed"


class ShutDoorError(ApiError):
    """Too many attempts; wait until the time that the facts name."""

    code = "too_many_attempts"


class PasswordRefusedError(ApiError):
    """The password is too short, too long or too well known."""

    code = "password_refused"


class InvitationRefusedError(ApiError):
    """The invitation is unknown, used, revoked or too old; ask for a new one."""

    code = "invitation_refused"


class LoginTakenError(ApiError):
    """This login is in use; take another."""

    code = "login_taken"


class CsrfRefusedError(ForbiddenScopeError):
    """A write from a page carries the page's token: field `csrf` or header X-CSRF-Token."""

    code = "csrf_refused"


class ProofTooOldError(ForbiddenScopeError):
    """This asks for a fresh proof of who you are: sign in again."""

    code = "proof_too_old"


class RoleRefusedError(ForbiddenScopeError):
    """The caller's role does not allow this."""

    code = "forbidden_role"


class LastOwnerError(ApiError):
    """An organisation keeps at least one owner."""

    code = "last_owner"


class CodeRefusedError(ApiError):
    """The code is wrong, used or too old."""

    code = "code_refused"


class PasskeyRefusedError(ApiError):
    """The passkey is unknown, or its answer does not fit the challenge of this site."""

    code = "passkey_refused"


class PlainHttpError(YundanError):  # no page of the door words it: the refusal does
    """Sign in over https: the cookie of a session does not travel over plain http (YUNDAN_TLS_CERT, or a proxy)."""

    code = "plain_http"


class NoSenderError(ApiError):
    """This system was not told how to send texts to phones: its operator sets YUNDAN_SMS_URL."""

    code = "no_sender"


class SmsFailedError(ApiError):
    """The gateway for short messages did not take the text; try again in a while."""

    code = "sms_failed"
