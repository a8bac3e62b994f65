from __future__ import annotations

import json

import pytest
from eth_account import Account
from pydantic import ValidationError

from api.bootstrap import Container
from api.settings import Settings
from chain.signers import LocalSigner

GOOD_KEY = "0x" + "4f3edf983ac636a65a842ce7c78d9aa706d3b113bce9c46f30d7d21715b23b1d"
OTHER_KEY = "0x" + "6cbed15c793ce57650b9877cf6fa156fbef513c4e6134f022a85b1ffdd59b2a1"
HASH_KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
ANVIL_KEY = (
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"  # pragma: allowlist secret
)
SAFE = {
    "relayer_key": GOOD_KEY,
    "registrar_key": OTHER_KEY,
    "hash_key": HASH_KEY,
    "enrol_token": HASH_KEY[::-1],
    "master_key": HASH_KEY[2:] + HASH_KEY[:2],
}


def test_a_real_system_needs_its_secrets():
    with pytest.raises(ValidationError) as refused:
        Settings()
    for name in (
        "YUNDAN_RELAYER_KEY",
        "YUNDAN_REGISTRAR_KEY",
        "YUNDAN_HASH_KEY",
        "YUNDAN_ENROL_TOKEN",
        "YUNDAN_MASTER_KEY",
    ):
        assert name in str(refused.value)


def test_good_secrets_pass_and_are_never_printed():
    settings = Settings(**SAFE)
    said = repr(settings) + str(settings.describe())
    for secret in SAFE.values():
        assert secret.removeprefix("0x") not in said
    assert settings.describe()["YUNDAN_RELAYER_KEY"] == "(set)"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("relayer_key", ANVIL_KEY, "everybody knows"),
        ("relayer_key", "0x12", "not a secp256k1 key"),
        ("registrar_key", "00" * 32, "not a secp256k1 key"),
        ("hash_key", "ab" * 32, "32 random bytes"),
        ("hash_key", "abcd", "32 random bytes"),
        ("hash_key", "no hex", "not hex"),
    ],
)
def test_a_weak_secret_is_refused_without_repeating_it(name, value, says):
    with pytest.raises(ValidationError, match=says) as refused:
        Settings(**SAFE | {name: value})
    assert "YUNDAN_" + name.upper() in str(refused.value).split("[type", maxsplit=1)[0]


def test_a_public_address_needs_tls():
    with pytest.raises(ValidationError, match="https"):
        Settings(**SAFE, host="0.0.0.0")
    assert Settings(**SAFE, host="0.0.0.0", public_url="https://yundan.example").secure_cookies


def test_a_demo_needs_nothing():
    settings = Settings(demo=True)
    assert settings.storage_url == f"sqlite:///{settings.var / 'yundan.db'}"


def test_the_environment_is_read_with_the_prefix(monkeypatch):
    monkeypatch.setenv("YUNDAN_DEMO", "true")
    monkeypatch.setenv("YUNDAN_PORT", "9001")
    assert Settings().port == 9001


def test_a_database_password_is_masked():
    url = "postgresql+psycopg://yundan:topsecret@db.example/yundan"  # pragma: allowlist secret
    shown = Settings(demo=True, database_url=url).describe()["YUNDAN_DATABASE_URL"]
    assert shown == "postgresql+psycopg://yundan:***@db.example/yundan"


def test_the_master_key_is_another_than_the_hash_key_and_long():
    for bad in (HASH_KEY, "ab" * 32, "00" * 16):
        with pytest.raises(ValidationError) as refused:
            Settings(**SAFE | {"master_key": bad})
        assert "YUNDAN_MASTER_KEY" in str(refused.value)
        assert bad not in str(refused.value).split("[type=")[0]


def test_a_master_key_comes_from_a_file_and_a_demo_makes_one_that_only_its_user_reads(tmp_path):
    path = tmp_path / "master"
    path.write_text(SAFE["master_key"])
    settings = Settings(**SAFE | {"master_key": "", "master_key_file": path})
    assert settings.master_keys() == [bytes.fromhex(SAFE["master_key"])]
    demo = Settings(demo=True, var=tmp_path / "var")
    assert demo.master_keys() == demo.master_keys()
    assert (tmp_path / "var" / "master.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("who", ["relayer", "registrar", "attestor"])
def test_every_key_may_lie_in_a_file_or_behind_a_service(tmp_path, who):
    others = {name: value for name, value in SAFE.items() if name != f"{who}_key"}

    def place(**given):
        return Settings(**others, **{f"{who}_{name}": value for name, value in given.items()})

    with pytest.raises(ValidationError, match=f"{who.upper()}_KEYSTORE_PASSWORD is not set"):
        place(keystore=tmp_path / "key.json")
    kept = place(
        keystore=tmp_path / "key.json",
        keystore_password="open up",  # pragma: allowlist secret
    )
    assert "open up" not in repr(kept) + str(kept.describe()) + repr(getattr(kept, who))
    with pytest.raises(ValidationError, match=f"{who.upper()}_ADDRESS"):
        place(signer_url="http://127.0.0.1:9000/sign")
    account = "0x90F8bf6A479f320ead074411a4B0e7944Ea8c9C1"
    with pytest.raises(ValidationError, match="https"):
        place(signer_url="http://kms.example/sign", address=account)
    asked = place(
        signer_url="https://kms.example/sign",
        address=account,
        signer_token="t0ken of the service",
    )
    assert "t0ken" not in repr(asked) + str(asked.describe()) + repr(getattr(asked, who))


def test_an_attestors_test_key_is_refused_where_money_is_real():
    with pytest.raises(ValidationError, match="everybody knows"):
        Settings(**SAFE, attestor_key=ANVIL_KEY)


def test_a_system_signs_with_the_keys_of_its_files(tmp_path, capfd):
    signer, path = LocalSigner.generate(), tmp_path / "key.json"
    quick = Account.encrypt(signer._key.secret, "word of it", kdf="pbkdf2", iterations=1)
    path.write_text(json.dumps(quick))
    places = {
        f"{who}_{name}": value
        for who in ("relayer", "registrar", "attestor")
        for name, value in (("keystore", path), ("keystore_password", "word of it"))
    }
    others = {
        name: value for name, value in SAFE.items() if name not in {"relayer_key", "registrar_key"}
    }
    container = Container(Settings(**others, **places, var=tmp_path))
    for who in ("relayer", "registrar", "attestor"):
        assert getattr(container, who).address == signer.address
        shown = (repr(container.settings), repr(getattr(container, who)), *capfd.readouterr())
        assert not any(signer._key.to_hex()[2:] in text or "word of it" in text for text in shown)
    container.close()
