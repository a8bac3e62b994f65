"""Keys that sign: in this process, in an encrypted file, or behind HTTP. No key is ever logged.

Where a key comes from (environment, file, address of a signing service) is settings' business.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coincurve import PrivateKey

from chain.abi import address
from chain.errors import ChainError, ChainUnavailableError, InvalidValueError
from chain.typed_data import account_of_key, recover_digest, typed_digest

if TYPE_CHECKING:
    from pathlib import Path

    from chain.abi import Struct
    from chain.ids import Address
    from chain.ports import Domain, Signer


class KeystoreRefusedError(ChainError):
    """The key file cannot be opened: wrong password, or not a key file."""

    code = "keystore_refused"


class SigningRefusedError(ChainError):
    """The signing service refused, or its signature is not by the key it claims."""

    code = "signing_refused"


_UNREADABLE = (ValueError, TypeError, NotImplementedError)
"""How a key file is refused that is none, or not of a kind that is known."""


class LocalSigner:
    """A key held in this process."""

    __slots__ = ("_address", "_key")

    def __init__(self, secret: bytes | str) -> None:
        raw = bytes.fromhex(secret.removeprefix("0x")) if isinstance(secret, str) else secret
        if len(raw) != 32:
            raise InvalidValueError("a private key has 32 bytes", field="key")
        try:
            self._key = PrivateKey(raw)
        except ValueError:
            raise InvalidValueError(
                "a private key is above zero and below the order of its curve", field="key"
            ) from None  # nothing of the key may stand in a traceback
        self._address = account_of_key(self._key.public_key)

    def __repr__(self) -> str:
        return f"LocalSigner({self._address})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a signer is not copied or stored")

    @property
    def address(self) -> Address:
        """The account of the key."""
        return self._address

    def sign_digest(self, digest: bytes) -> bytes:
        """Signs 32 bytes: r, s (low), v (27 or 28)."""
        raw = self._key.sign_recoverable(digest, hasher=None)  # r, s, v with v 0 or 1
        return raw[:64] + bytes([27 + raw[64]])

    def sign_typed_data(self, struct: Struct, domain: Domain) -> bytes:
        """Signs a struct under EIP-712."""
        return self.sign_digest(typed_digest(struct, domain))

    @classmethod
    def generate(cls) -> LocalSigner:
        """A signer with a new random key."""
        return cls(os.urandom(32))

    @classmethod
    def open_keystore(cls, path: Path, password: str) -> LocalSigner:
        """The signer of an encrypted key file (Web3 secret storage, version 3).

        Raises:
            KeystoreRefusedError: wrong password, or not a key file.
        """
        try:
            body = json.loads(path.read_text("utf-8"))
            return cls(_keyfiles().decode_keyfile_json(body, password.encode()))
        except (OSError, LookupError, AttributeError, *_UNREADABLE) as error:
            raise KeystoreRefusedError(
                f"the key file {path.name} cannot be opened: wrong password or no key file"
            ) from error

    def write_keystore(self, path: Path, password: str) -> None:
        """Writes the key into a new encrypted file that only its owner may read.

        Raises:
            KeystoreRefusedError: the file exists; a key is never written over.
        """
        body = _keyfiles().create_keyfile_json(self._key.secret, password.encode(), kdf="scrypt")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise KeystoreRefusedError(f"{path.name} exists; keys are never overwritten") from error
        with os.fdopen(descriptor, "w") as file:
            json.dump(body, file)


class RemoteSigner:
    """A key behind HTTP (a signing service or a KMS bridge): ``POST url {"address", "digest"}``.

    The service answers ``{"signature": "0x…65 bytes"}``. What comes back is checked against the
    account before it is used, so that a wrong or lying service costs an error, not a lost nonce.
    """

    def __init__(
        self, url: str, account: Address, *, token: str = "", timeout_s: float = 5.0
    ) -> None:
        self._url = url
        self._account = account
        self._token = token
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"RemoteSigner({self._account})"

    @property
    def address(self) -> Address:
        """The account of the key."""
        return self._account

    def sign_digest(self, digest: bytes) -> bytes:
        """Has 32 bytes signed.

        Raises:
            ChainUnavailableError: the service does not answer.
            SigningRefusedError: it refused, or signed with another key.
        """
        import requests  # noqa: PLC0415  who signs in this process does not wait for it

        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            answer = requests.post(
                self._url,
                json={"address": self._account, "digest": "0x" + digest.hex()},
                headers=headers,
                timeout=self._timeout_s,
            )
            body = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise ChainUnavailableError("the signing service does not answer") from error
        if answer.status_code != 200:
            raise SigningRefusedError(f"the signing service refused ({answer.status_code})")
        try:
            signature = bytes.fromhex(str(body["signature"]).removeprefix("0x"))
        except (KeyError, TypeError, ValueError) as error:
            raise SigningRefusedError("the signing service sent no signature") from error
        if recover_digest(digest, signature) != self._account:
            raise SigningRefusedError("the signing service signed with another key")
        return signature

    def sign_typed_data(self, struct: Struct, domain: Domain) -> bytes:
        """Has a struct signed under EIP-712."""
        return self.sign_digest(typed_digest(struct, domain))


def _keyfiles() -> Any:
    """eth_keyfile, loaded when a key file is opened: it takes as long as the rest of this package.

    py_ecc, which it loads, raises the interpreter's recursion limit to 100,000: JSON nested that deep then
    overruns the C stack and kills the process. So the limit is put back.
    """
    limit = sys.getrecursionlimit()
    try:
        return importlib.import_module("eth_keyfile")
    finally:
        sys.setrecursionlimit(limit)


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where a key is to be had: behind a service, in a key file, or in the settings, looked for in this order.

    Attributes:
        url: of a signing service that holds the key of ``account``; token is shown to it.
        keystore: an encrypted key file, which password opens.
        secret: the key itself, 0x and 64 hex digits.
    """

    secret: str = field(default="", repr=False)
    keystore: Path | None = None
    password: str = field(default="", repr=False)
    url: str = ""
    account: str = ""
    token: str = field(default="", repr=False)

    def open(self) -> Signer:
        """The key as the one port that everything signs through.

        Raises:
            KeystoreRefusedError: the key file does not open.
            InvalidValueError: the key is none.
        """
        if self.url:
            return RemoteSigner(self.url, address(self.account), token=self.token)
        if self.keystore is not None:
            return LocalSigner.open_keystore(self.keystore, self.password)
        return LocalSigner(self.secret)
