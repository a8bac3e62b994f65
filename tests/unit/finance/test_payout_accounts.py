"""The account book's pure parts: salted hashes, names, payment references, sealing."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.ids import Address, Hash32, PartyId
from chain.party import Party, PartyStage
from chain.sealing import Keyring
from finance.iso20022 import BankAccount
from finance.payout_accounts import account_hash, is_name_of, pay_in_reference, references_in
from finance.payout_errors import AccountRefusedError, MessageInvalidError
from finance.payout_seal import RecordSeal

ACCOUNT = BankAccount("张师傅", "6222021234567890", "102100099996")
SALT = Hash32("0x" + "01" * 32)


def party(zh, en):
    return Party(PartyId(1), zh, en, "driver", PartyStage.PENDING, None, Hash32("0x" + "00" * 32))


def test_the_hash_hangs_on_every_part_and_on_the_salt():
    others = [
        account_hash(BankAccount("李师傅", ACCOUNT.number, ACCOUNT.bank), SALT),
        account_hash(BankAccount(ACCOUNT.holder, "6222021234567891", ACCOUNT.bank), SALT),
        account_hash(BankAccount(ACCOUNT.holder, ACCOUNT.number, "102100099997"), SALT),
        account_hash(ACCOUNT, Hash32("0x" + "02" * 32)),
    ]
    assert account_hash(ACCOUNT, SALT) == account_hash(ACCOUNT, SALT)
    assert len({account_hash(ACCOUNT, SALT), *others}) == 5


def test_an_account_never_prints_its_number_or_holder():
    assert "6222021234567890" not in repr(ACCOUNT)
    assert "张" not in f"{ACCOUNT}"


@pytest.mark.parametrize(
    ("holder", "number", "bank", "field"),
    [
        ("", "1", "102100099996", "holder"),
        (" 张", "1", "102100099996", "holder"),
        ("张\n师傅", "1", "102100099996", "holder"),
        ("张", "", "102100099996", "number"),
        ("张", "6222 0212", "102100099996", "number"),
        ("张", "1" * 35, "102100099996", "number"),
        ("张", "1", "1021", "bank"),
        ("张", "1", "ICBKCNBJ", "bank"),
    ],
)
def test_an_account_that_cannot_be_is_refused_by_field(holder, number, bank, field):
    with pytest.raises(MessageInvalidError) as refused:
        BankAccount(holder, number, bank)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("holder", "zh", "en", "same"),
    [
        ("张师傅", "张师傅", "Driver Zhang", True),
        ("driver ZHANG", "张师傅", "Driver Zhang", True),
        ("顺达运输(上海)有限公司", "顺达运输(上海)有限公司", "Shunda", True),
        ("买买提·艾力", "买买提艾力", "Mamat", True),
        ("张师", "张师傅", "Driver Zhang", False),
        ("李师傅", "张师傅", "Driver Zhang", False),
        ("··", "··", "", False),
    ],
)
def test_a_holder_is_matched_with_a_partys_name(holder, zh, en, same):
    assert is_name_of(holder, party(zh, en)) is same


@settings(deadline=None)
@given(st.binary(min_size=20, max_size=20), st.text("YDA7-/ 款z", max_size=30))
def test_a_reference_is_found_however_and_after_whatever_it_is_written(raw, noise):
    reference = pay_in_reference(Address("0x" + raw.hex()))
    written = f"货款 {reference[:4].lower()} {reference[4:10]}-{reference[10:]}"
    assert reference in references_in(written)
    assert reference in references_in(f"{noise} {reference}")


def test_what_is_no_reference_is_not_found():
    assert references_in("freight for January, YD123, thanks") == ()


def test_a_sealed_record_opens_only_whole_and_for_what_it_was_sealed():
    seal = RecordSeal(Keyring([bytes(range(32))]))
    key = seal.new_key()
    sealed = seal.seal(key, "账号 6222".encode(), "0xabc")
    assert seal.open(key, sealed, "0xabc") == "账号 6222".encode()
    assert b"6222" not in sealed
    assert seal.seal(key, "账号 6222".encode(), "0xabc") != sealed
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for bad_key, body, about in (
        (key, flipped, "0xabc"),
        (key, sealed, "0xabd"),
        (seal.new_key(), sealed, "0xabc"),
        (key, b"", "0xabc"),
        (b"", sealed, "0xabc"),
        (key[:-1], sealed, "0xabc"),
    ):
        with pytest.raises(AccountRefusedError):
            seal.open(bad_key, body, about)
    with pytest.raises(AccountRefusedError):
        RecordSeal(Keyring([bytes(range(1, 33))])).open(key, sealed, "0xabc")
    with pytest.raises(ValueError, match="32"):
        RecordSeal(Keyring([bytes(range(32))]), b"short")


def test_what_was_sealed_before_the_keyring_still_opens_and_new_records_need_no_old_secret():
    secret, ring = bytes(range(40)), Keyring([bytes(range(32))])
    derived = HKDF(SHA256(), 32, salt=None, info=b"yundan payout accounts").derive(secret)
    record, nonce = AESGCM.generate_key(256), bytes(12)
    old_key = nonce + AESGCM(derived).encrypt(nonce, record, b"yundan record key")
    body = nonce + AESGCM(record).encrypt(nonce, b"6222", b"0xabc")
    both = RecordSeal(ring, secret)
    assert both.open(old_key, body, "0xabc") == b"6222"
    new_key = both.new_key()
    assert RecordSeal(ring).open(new_key, both.seal(new_key, b"6223", "0xabd"), "0xabd") == b"6223"
    with pytest.raises(AccountRefusedError):
        RecordSeal(ring).open(old_key, body, "0xabc")
