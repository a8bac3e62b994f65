"""Every setting, from the environment alone (``YUNDAN_...``); the only reader of it.

``Settings()`` refuses what would be unsafe outside demo mode: missing or short secrets, a key that
everybody knows, a public address without TLS. ``describe()`` is what a start prints: each value, secrets
masked.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chain.signers import KeyPlace, LocalSigner

ROOT = Path(__file__).resolve().parent.parent
LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")

_KNOWN_MNEMONIC_ACCOUNTS = frozenset(
    {
        # The first accounts of the test mnemonic of anvil and Hardhat, whose keys are on every disk.
        "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
        "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
        "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
        "0x90f79bf6eb2c4f870365e785982e1f101e93b906",
        "0x15d34aaf54267db7d7c367839aaf71a00a2c6a65",
    }
)


class Settings(BaseSettings):
    """The settings of one process; ``demo`` alone loosens what is refused.

    Attributes:
        demo: everything runs on this machine with keys made for the demo; pages are open to see.
        var: folder of what a run leaves behind.
        database_url: SQLAlchemy URL; empty means SQLite in ``var``.
        rpc_url: JSON-RPC of a node of the consortium network.
        chain_id: the id that node must answer.
        finality_depth: blocks on top of a block before it counts as final.
        proves_headers: a block's hash is the hash of its header; false on QBFT, which leaves its seals out.
        gas_price: wei a unit of gas; 0 on a consortium network.
        in_flight: most transactions sent and in no block yet; 16 where a node is full of strangers' ones.
        host: address the API listens on.
        port: port the API listens on.
        public_url: where people reach the pages, for links and cookies.
        gateway_host: address the JT/T 808 gateway listens on.
        gateway_port: port of it.
        bank_url: the bank's API; empty where no bank is joined: payouts then wait for the custodian's word.
        bank_token: bearer token of the bank's API.
        house_holder: the custodian's account at the bank, from which payouts are made: its holder.
        house_number: its number.
        house_bank: the bank's 12 CNAPS digits.
        custodian_key: the custodian's first signer; only in the process that signs for him.
        second_custodian_key: the custodian's second signer.
        seal_key: secret under which account numbers were sealed before the master keys seal everything; it only
            opens those, at least 32 bytes, as hex; empty means that it was hash_key.
        relayer_key: key that sends transactions; it has no authority. 0x and 64 hex digits.
        relayer_keystore: instead of it, an encrypted key file; relayer_keystore_password opens it.
        relayer_signer_url: instead of both, a signing service that holds the key of relayer_address;
            relayer_signer_token is shown to it.
        registrar_key: key that countersigns registrations (know your customer); registrar_keystore,
            registrar_signer_url and so on as for the relayer.
        attestor_key: an attestor's key: the platform's own in a worker, another's in `yundan attestor`;
            attestor_keystore, attestor_signer_url and so on as for the relayer.
        attestor_party: party id of that attestor.
        api_url: where `yundan attestor` finds the API; empty means host and port.
        enrol_token: who holds it may enrol parties; in a demo anyone may.
        forward_token: what the operator's own Traccar server shows when it forwards positions; empty
            shuts that door.
        keep_stale_days: days that sessions and invitations are kept after they ended.
        keep_days: days that fixes and raw frames are kept; 0 keeps all. What a trip was judged on, and all
            around trips with a live loan, a dispute or no end yet, stays longer.
        hash_key: secret of the keyed hashes (shipping notes, plates); at least 32 bytes, as hex.
        master_key: wraps the data keys of personal data; 32 bytes as hex. After a change: new,old.
        master_key_file: a file that holds it instead, outside the database and its backups.
        metrics_token: who shows it may read /metrics from another machine.
        tls_cert: certificate chain (PEM) to serve https with; empty where a proxy in front does it.
        tls_key: its key.
        sms_url: the operator's gateway for short messages, which takes JSON {"phone", "text"} by POST; a demo
            writes them into a file. Empty outside a demo means that no codes are sent.
        sms_token: shown to it as Authorization: Bearer.
        trusted_proxies: addresses, separated by commas, whose X-Forwarded-For is believed.
        mode: test or live; which API keys are made and taken here. A demo is test, all else live unless named.
        rate_per_minute: requests to /v1 of one key, session or address.
        webhook_networks: private networks that webhooks may go to, e.g. 10.1.0.0/16; none unless named.
        map_tiles: address of map tiles with {z}, {x} and {y}, of an approved source; empty draws the schematic map.
        map_datum: of those tiles: wgs84 or gcj02; positions are kept in WGS-84 and moved at the edge.
        map_attribution: what the tiles' licence and approval number ask to be shown.
        poll_seconds: pause between two looks at the chain.
        job_pace: factor on the pauses of the jobs; a demo whose time runs faster takes a small one.
    """

    model_config = SettingsConfigDict(
        env_prefix="YUNDAN_", extra="ignore", frozen=True, validate_default=True
    )

    demo: bool = False
    var: Path = ROOT / "var"
    database_url: str = ""
    rpc_url: str = "http://127.0.0.1:8545"
    chain_id: int = Field(default=31337, gt=0)
    finality_depth: int = Field(default=2, ge=0, le=1000)
    proves_headers: bool = True
    gas_price: int = Field(default=0, ge=0, le=10**12)
    in_flight: int = Field(default=64, ge=1, le=1000)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    public_url: str = ""
    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=6808, ge=0, le=65535)
    bank_url: str = ""
    bank_token: SecretStr = SecretStr("")
    house_holder: str = ""
    house_number: str = ""
    house_bank: str = ""
    custodian_key: SecretStr = SecretStr("")
    second_custodian_key: SecretStr = SecretStr("")
    seal_key: SecretStr = SecretStr("")
    relayer_key: SecretStr = SecretStr("")
    relayer_keystore: Path | None = None
    relayer_keystore_password: SecretStr = SecretStr("")
    relayer_signer_url: str = ""
    relayer_address: str = ""
    relayer_signer_token: SecretStr = SecretStr("")
    registrar_key: SecretStr = SecretStr("")
    registrar_keystore: Path | None = None
    registrar_keystore_password: SecretStr = SecretStr("")
    registrar_signer_url: str = ""
    registrar_address: str = ""
    registrar_signer_token: SecretStr = SecretStr("")
    attestor_key: SecretStr = SecretStr("")
    attestor_keystore: Path | None = None
    attestor_keystore_password: SecretStr = SecretStr("")
    attestor_signer_url: str = ""
    attestor_address: str = ""
    attestor_signer_token: SecretStr = SecretStr("")
    attestor_party: int = Field(default=0, ge=0, lt=2**64)
    api_url: str = ""
    enrol_token: SecretStr = SecretStr("")
    forward_token: SecretStr = SecretStr("")
    keep_stale_days: int = Field(default=30, ge=1, le=3650)
    keep_days: int = Field(default=0, ge=0, le=36_500)
    hash_key: SecretStr = SecretStr("")
    master_key: SecretStr = SecretStr("")
    master_key_file: Path | None = None
    metrics_token: SecretStr = SecretStr("")
    tls_cert: Path | None = None
    tls_key: Path | None = None
    sms_url: str = ""
    sms_token: SecretStr = SecretStr("")
    trusted_proxies: str = ""
    webhook_networks: str = ""
    mode: Literal["", "test", "live"] = ""
    rate_per_minute: int = Field(default=6000, gt=0, le=10_000_000)
    map_tiles: str = ""
    map_datum: str = Field(default="wgs84", pattern="^(wgs84|gcj02)$")
    map_attribution: str = ""
    poll_seconds: float = Field(default=1.0, gt=0, le=60)
    job_pace: float = Field(default=1.0, gt=0, le=60)

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Self:
        if self.demo:
            return self
        reasons = [
            *_place_reasons("RELAYER", self.relayer),
            *_place_reasons("REGISTRAR", self.registrar),
            *(_place_reasons("ATTESTOR", self.attestor) if self.attestor != KeyPlace() else ()),
            *_secret_reasons("YUNDAN_HASH_KEY", self.hash_key),
            *_secret_reasons("YUNDAN_ENROL_TOKEN", self.enrol_token),
            *(
                _secret_reasons("YUNDAN_FORWARD_TOKEN", self.forward_token)
                if self.forward_token.get_secret_value()
                else ()
            ),
            *self._master_reasons(),
            *(
                _secret_reasons("YUNDAN_METRICS_TOKEN", self.metrics_token)
                if self.metrics_token.get_secret_value()
                else ()
            ),
        ]
        if self.seal_key.get_secret_value():
            reasons += _secret_reasons("YUNDAN_SEAL_KEY", self.seal_key)
        if self.bank_url and not (self.house_holder and self.house_number and self.house_bank):
            reasons.append(
                "YUNDAN_HOUSE_HOLDER, _NUMBER and _BANK name the account that YUNDAN_BANK_URL pays from"
            )
        for name, secret in (
            ("YUNDAN_CUSTODIAN_KEY", self.custodian_key),
            ("YUNDAN_SECOND_CUSTODIAN_KEY", self.second_custodian_key),
        ):
            if secret.get_secret_value():
                reasons += _key_reasons(name, secret)
        if self.host not in LOCAL_HOSTS and not self.public_url.startswith("https://"):
            reasons.append(
                "YUNDAN_PUBLIC_URL must begin with https:// when YUNDAN_HOST is not this machine alone"
            )
        if reasons:
            raise ValueError("; ".join(reasons) + " (YUNDAN_DEMO=true is for demos only)")
        return self

    def _master_reasons(self) -> list[str]:
        if self.master_key_file is not None and not self.master_key.get_secret_value():
            return []  # read, and judged, when the process starts
        found: list[str] = []
        for one in self.master_key.get_secret_value().split(","):
            found += _secret_reasons("YUNDAN_MASTER_KEY", SecretStr(one))
            if one and one == self.hash_key.get_secret_value():
                found.append("YUNDAN_MASTER_KEY and YUNDAN_HASH_KEY must differ")
        return found

    def master_keys(self) -> list[bytes]:
        """The master keys of personal data, the present one first.

        A demo that was given none makes one, in a file beside its database.

        Raises:
            ValueError: the file cannot be read or holds no key.
        """
        text = self.master_key.get_secret_value()
        if not text and self.master_key_file is not None:
            try:
                text = self.master_key_file.read_text("ascii").strip()
            except (OSError, ValueError) as error:
                raise ValueError("YUNDAN_MASTER_KEY_FILE cannot be read") from error
        if not text and self.demo:
            text = _made_once(self.var / "master.key")
        for one in text.split(","):
            reasons = _secret_reasons("YUNDAN_MASTER_KEY", SecretStr(one))
            if reasons:
                raise ValueError(reasons[0])
        return [bytes.fromhex(one.removeprefix("0x"))[:32] for one in text.split(",")]

    @property
    def relayer(self) -> KeyPlace:
        """Where the sending key is."""
        return self._place("relayer")

    @property
    def registrar(self) -> KeyPlace:
        """Where the registrar's key is."""
        return self._place("registrar")

    @property
    def attestor(self) -> KeyPlace:
        """Where the attestor's key is."""
        return self._place("attestor")

    def _place(self, who: str) -> KeyPlace:
        return KeyPlace(
            secret=getattr(self, f"{who}_key").get_secret_value(),
            keystore=getattr(self, f"{who}_keystore"),
            password=getattr(self, f"{who}_keystore_password").get_secret_value(),
            url=getattr(self, f"{who}_signer_url"),
            account=getattr(self, f"{who}_address"),
            token=getattr(self, f"{who}_signer_token").get_secret_value(),
        )

    @property
    def storage_url(self) -> str:
        """Where rows go."""
        return self.database_url or f"sqlite:///{self.var / 'yundan.db'}"

    @property
    def deployments(self) -> Path:
        """Folder of the records of where contracts stand: a local chain's lies with its run."""
        return self.var / "deployments" if self.demo else ROOT / "deploy" / "deployments"

    @property
    def mode_name(self) -> str:
        """``test`` or ``live``: keys of one open nothing in the other."""
        return self.mode or ("test" if self.demo else "live")

    @property
    def secure_cookies(self) -> bool:
        """Whether cookies may travel over TLS alone."""
        return not self.demo or self.public_url.startswith("https://")

    @property
    def session_cookie(self) -> str:
        """Name of the cookie of a session; the prefix makes browsers keep it to this host and TLS."""
        return "__Host-yundan" if self.secure_cookies else "yundan_session"

    def describe(self) -> dict[str, str]:
        """Each setting as a start prints it; a secret only says whether it is set."""
        shown = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                value = "(set)" if value.get_secret_value() else "(not set)"
            elif name == "database_url":
                value = _without_password(self.storage_url)
            shown[f"YUNDAN_{name.upper()}"] = str(value)
        return shown


def _place_reasons(who: str, place: KeyPlace) -> list[str]:
    """Why a key cannot be had from where the settings say it is."""
    if place.url:
        reasons = []
        if not re.fullmatch(r"0x[0-9a-fA-F]{40}", place.account):
            reasons.append(f"YUNDAN_{who}_ADDRESS is not the address of a key")
        is_here = urlsplit(place.url).hostname in LOCAL_HOSTS
        if not place.url.startswith("https://") and not is_here:
            reasons.append(f"YUNDAN_{who}_SIGNER_URL must begin with https:// off this machine")
        return reasons
    if place.keystore is not None:
        return [] if place.password else [f"YUNDAN_{who}_KEYSTORE_PASSWORD is not set"]
    return _key_reasons(f"YUNDAN_{who}_KEY", SecretStr(place.secret))


def _key_reasons(name: str, secret: SecretStr) -> list[str]:
    """Why a signing key is no good, in words that do not repeat it."""
    digits = secret.get_secret_value().removeprefix("0x")
    if not digits:
        return [f"{name} is not set"]
    try:
        address = LocalSigner(digits).address.lower()
    except Exception:  # noqa: BLE001  whatever a library says of a bad key may hold the key
        return [f"{name} is not a secp256k1 key of 64 hex digits"]
    if address in _KNOWN_MNEMONIC_ACCOUNTS:
        return [f"{name} is a test key that everybody knows"]
    return []


def _secret_reasons(name: str, secret: SecretStr) -> list[str]:
    text = secret.get_secret_value()
    if not text:
        return [f"{name} is not set"]
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return [f"{name} is not hex"]
    if len(raw) < hashlib.sha256().digest_size or len(set(raw)) < 8:
        return [f"{name} needs at least 32 random bytes (64 hex digits)"]
    return []


def _made_once(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="ascii") as file:
            path.chmod(0o600)
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    return path.read_text("ascii")


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    if not at:
        return url
    scheme, _, user = head.partition("://")
    return f"{scheme}://{user.partition(':')[0]}:***@{tail}"
