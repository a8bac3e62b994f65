"""Where webhooks may go: every wrapping of a private address is refused, whatever the name says."""

from __future__ import annotations

import socket

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.webhooks.addresses import UrlRefusedError, find_destination, read_networks
from api.webhooks.secrets import Sealer, SecretRefusedError, check_secret, new_secret
from chain.sealing import Keyring, UnsealError

PUBLIC = "93.184.216.34"


def to(*addresses):
    return lambda _host, _port: list(addresses)


def nowhere(_host, _port):
    raise socket.gaierror


def find(url, *addresses, allowed=""):
    return find_destination(url, read_networks(allowed), resolver=to(*addresses))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.5", "172.16.1.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1",
        "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:1::1",
    ],
)  # fmt: skip
def test_a_private_address_is_refused_however_it_is_wrapped(address):
    with pytest.raises(UrlRefusedError, match="not a public address"):
        find("https://hooks.example/x", address)
    with pytest.raises(UrlRefusedError):  # one bad address among good ones is enough
        find("https://hooks.example/x", PUBLIC, address)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/x", "ftp://hooks.example/", "file:///etc/passwd", "gopher://h/", "//hooks.example",
        "https://", "https:///x", "https://user:secret@hooks.example/", "https://hooks.example/#a",  # pragma: allowlist secret
        "https://hooks.example:99999/", "https://hooks.example:0/", "https://hooks.example\\@evil.example/",
        "https://hooks.example/a b", "https://hooks.example/\r\nX: y", "https://运单.example/", "https://[::1/",
        "https://hooks.example/" + "a" * 500, "",
    ],
)  # fmt: skip
def test_what_is_no_public_https_url_is_refused(url):
    with pytest.raises(UrlRefusedError) as refused:
        find(url, PUBLIC)
    assert refused.value.field == "url"


def test_an_unknown_host_is_told_so():
    with pytest.raises(UrlRefusedError, match="cannot be found"):
        find_destination("https://nowhere.example/", (), resolver=nowhere)


def test_numbers_in_disguise_are_resolved_before_they_are_judged():
    for host in ("2130706433", "0x7f.1", "127.1", "0177.0.0.1", "localhost"):
        with pytest.raises(UrlRefusedError):
            find_destination(f"https://{host}/", ())


def test_the_checked_address_is_the_one_connected_to():
    found = find("https://hooks.example:8443/in?x=1", PUBLIC)
    assert (found.address, found.port, found.host, found.target) == (
        PUBLIC,
        8443,
        "hooks.example",
        "/in?x=1",
    )
    assert found.url == f"https://{PUBLIC}:8443/in?x=1"
    assert found.host_header == "hooks.example:8443"
    assert find("https://hooks.example/", PUBLIC).host_header == "hooks.example"
    six = find("https://hooks.example/", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")
    assert six.url.startswith("https://[2606:")


def test_only_named_networks_open_private_addresses_and_plain_http():
    found = find("http://inside.example/", "10.1.2.3", allowed="10.1.0.0/16, 127.0.0.0/8")
    assert not found.is_tls
    with pytest.raises(UrlRefusedError):
        find("http://inside.example/", "10.2.2.3", allowed="10.1.0.0/16")
    with pytest.raises(UrlRefusedError, match="over https"):
        find("http://hooks.example/", PUBLIC, allowed="10.1.0.0/16")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "whsec_AAAA",
        "abc",
        "whsec_" + "A" * 44,
        "whsec_" + "é" * 40,
        "whsec_" + "QUJD" * 40,
    ],
)
def test_a_weak_secret_is_refused(text):
    with pytest.raises(SecretRefusedError):
        check_secret(text)


def test_a_secret_opens_for_its_own_receiver_alone():
    masters, hashes = bytes(range(32)), b"\x05" * 32
    sealer, secret = Sealer(Keyring([masters]), hashes), new_secret()
    sealed = sealer.seal(secret, "we_1")
    assert secret.encode() not in sealed
    assert sealer.open(sealed, "we_1") == secret
    turned = Sealer(Keyring([bytes(range(1, 33)), masters]), hashes)
    assert turned.open(sealed, "we_1") == secret  # another master key stands in front
    for wrong, owner in (
        (Sealer(Keyring([bytes(range(2, 34))]), hashes), "we_1"),
        (sealer, "we_2"),
    ):
        with pytest.raises(UnsealError):
            wrong.open(sealed, owner)


def test_a_secret_from_before_there_was_one_keyring_still_opens():
    key = HKDF(SHA256(), 32, salt=None, info=b"yundan webhook secrets").derive(b"\x05" * 32)
    sealer = Sealer(Keyring([bytes(range(32))]), b"\x05" * 32)
    for first in (b"\x00", b"\x01"):  # a nonce may begin as a version does
        nonce = first + bytes(11)
        sealed = nonce + AESGCM(key).encrypt(nonce, b"whsec_old", b"we_1")
        assert sealer.open(sealed, "we_1") == "whsec_old"
        with pytest.raises(UnsealError):
            sealer.open(sealed, "we_2")


def test_the_same_secret_has_one_fingerprint():
    sealer, secret = Sealer(Keyring([bytes(range(32))]), b"\x05" * 32), new_secret()
    assert (
        sealer.fingerprint(secret) == sealer.fingerprint(secret) != sealer.fingerprint(new_secret())
    )
