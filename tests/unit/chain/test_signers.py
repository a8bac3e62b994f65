"""Keys in the process, in a file and behind HTTP."""

from __future__ import annotations

import http.server
import json
import pickle
import threading

import pytest
from eth_account import Account

from chain.errors import ChainUnavailableError, InvalidValueError
from chain.signers import (
    KeyPlace,
    KeystoreRefusedError,
    LocalSigner,
    RemoteSigner,
    SigningRefusedError,
)
from chain.typed_data import recover_digest

DIGEST = b"\x42" * 32


def test_a_key_is_never_shown_copied_or_stored():
    signer = LocalSigner("11" * 32)
    assert "11" * 8 not in repr(signer)
    assert signer.address in repr(signer)
    with pytest.raises(TypeError):
        pickle.dumps(signer)
    assert not hasattr(signer, "__dict__")


@pytest.mark.parametrize("secret", ["11" * 31, b"\x01" * 33, ""])
def test_a_key_of_a_wrong_length_is_refused(secret):
    with pytest.raises(InvalidValueError):
        LocalSigner(secret)


def test_a_keystore_opens_with_its_password_only(tmp_path):
    signer = LocalSigner.generate()
    path = tmp_path / "firm.json"
    signer.write_keystore(path, "correct horse")
    assert path.stat().st_mode & 0o077 == 0
    assert signer._key.to_hex()[2:] not in path.read_text()
    assert LocalSigner.open_keystore(path, "correct horse").address == signer.address
    with pytest.raises(KeystoreRefusedError):
        LocalSigner.open_keystore(path, "wrong")
    with pytest.raises(KeystoreRefusedError, match="never overwritten"):
        signer.write_keystore(path, "again")
    path.write_text("{}")
    with pytest.raises(KeystoreRefusedError):
        LocalSigner.open_keystore(path, "correct horse")
    with pytest.raises(KeystoreRefusedError):
        LocalSigner.open_keystore(tmp_path / "none.json", "x")


class Service(http.server.BaseHTTPRequestHandler):
    """A signing service as a KMS bridge would be; ``mood`` makes it misbehave."""

    key = LocalSigner("22" * 32)
    other = LocalSigner("33" * 32)
    mood = "good"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body, status = {}, 200
        if self.headers.get("Authorization") != "Bearer token" or self.mood == "refuse":
            status = 403
        elif self.mood == "silent":
            body = {}
        else:
            signer = self.other if self.mood == "other" else self.key
            body = {
                "signature": "0x" + signer.sign_digest(bytes.fromhex(asked["digest"][2:])).hex()
            }
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"nonsense" if self.mood == "garbled" else json.dumps(body).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    Service.mood = "good"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_remote_key_signs_and_is_checked(service):
    signer = RemoteSigner(service, Service.key.address, token="token")
    assert recover_digest(DIGEST, signer.sign_digest(DIGEST)) == Service.key.address


@pytest.mark.parametrize(
    ("mood", "error"),
    [
        ("refuse", SigningRefusedError),
        ("other", SigningRefusedError),
        ("silent", SigningRefusedError),
        ("garbled", ChainUnavailableError),
    ],
)
def test_a_remote_key_that_misbehaves_costs_an_error(service, mood, error):
    Service.mood = mood
    with pytest.raises(error):
        RemoteSigner(service, Service.key.address, token="token").sign_digest(DIGEST)


def test_a_remote_key_that_is_away_is_told_as_such():
    with pytest.raises(ChainUnavailableError):
        RemoteSigner("http://127.0.0.1:9", Service.key.address).sign_digest(DIGEST)


def test_a_key_is_opened_wherever_it_lies(service, tmp_path):
    local = LocalSigner("44" * 32)
    quick = Account.encrypt(b"\x44" * 32, "word", kdf="pbkdf2", iterations=1)
    (tmp_path / "key.json").write_text(json.dumps(quick))
    places = {
        local.address: [
            KeyPlace(secret="44" * 32),
            KeyPlace(secret="55" * 32, keystore=tmp_path / "key.json", password="word"),
        ],
        Service.key.address: [
            KeyPlace(secret="55" * 32, url=service, account=Service.key.address, token="token")
        ],
    }
    for account, ways in places.items():
        for place in ways:
            signer = place.open()
            assert signer.address == account
            assert recover_digest(DIGEST, signer.sign_digest(DIGEST)) == account
            assert all(hidden not in repr(place) for hidden in ("44" * 8, "55" * 8, "'token'"))
