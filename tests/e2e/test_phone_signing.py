"""What the phone signs is what the contracts check: the same forms, digests, documents and signatures."""

from __future__ import annotations

import hashlib
import json
import secrets

import pytest

from api.key_request import ApiKeyRequest
from api.schemas.signing import read_message
from chain.bindings import structs
from chain.document import document_hash
from chain.ids import Address
from chain.ports import Domain
from chain.typed_data import recover, recover_digest, typed_digest, typed_message
from tests.e2e.phone_trip import join

DOMAIN = Domain(31337, Address("0x5FbDB2315678afecb367f032d93F642f64180aa3"))


@pytest.fixture(scope="module")
def phone(browser, product):
    context = browser.new_context(base_url=product.url, locale="zh-CN")
    page = context.new_page()
    page.goto("/driver")
    page.evaluate(
        """async () => { for (const name of ["typed", "vault"])
        globalThis[name] = await import(document.querySelector(`link[href*="phone/${name}.js"]`).href); }"""
    )
    yield page
    context.close()


def sample(kind, seed: int):
    """A form of a kind with members at random."""
    values = {}
    for member in kind.EIP712.partition("(")[2].rstrip(")").split(","):
        type_, name = member.split(" ")
        if type_ == "string":
            values[name] = f"运单 {seed}"
        elif type_ == "address":
            values[name] = "0x" + secrets.token_hex(20)
        elif type_ == "bytes32":
            values[name] = "0x" + secrets.token_hex(32)
        else:
            values[name] = str(secrets.randbits(int(type_[4:])))
    return read_message(kind, values)


def test_the_phones_forms_are_those_of_the_contracts(phone):
    forms = phone.evaluate("typed.FORMS")
    ours = {
        name: (ApiKeyRequest if name == "ApiKeyRequest" else getattr(structs, name)).EIP712
        for name in forms
    }
    assert forms == ours


def test_digests_and_signatures_are_those_of_the_contracts(phone):
    for seed in range(4):
        for name in phone.evaluate("Object.keys(typed.FORMS)"):
            kind = ApiKeyRequest if name == "ApiKeyRequest" else getattr(structs, name)
            form = sample(kind, seed)
            asked = typed_message(form, DOMAIN)
            digest, signature, address = phone.evaluate(
                """(asked) => { const form = typed.readForm(asked);
                const secret = crypto.getRandomValues(new Uint8Array(32));
                return [typed.toHex(form.digest), vault.signDigest(secret, form.digest), vault.addressOf(secret)]; }""",
                asked,
            )
            assert digest == "0x" + typed_digest(form, DOMAIN).hex(), name
            assert (
                recover_digest(typed_digest(form, DOMAIN), bytes.fromhex(signature[2:])) == address
            )


def test_documents_hash_alike(phone):
    for content in (
        {"trip": "0x" + "ab" * 32, "loaded_milli": 12_000},
        {"note": '破"一袋"\n\\ é\u2028', "photos": ["0x01", "0x02"], "b": {"z": 1, "a": [1, "二"]}},
    ):
        salt = "0x" + hashlib.sha256(str(content).encode()).hexdigest()
        there = phone.evaluate(
            "([content, salt]) => typed.documentHash(content, salt)", [content, salt]
        )
        assert there == document_hash(content, bytes.fromhex(salt[2:]))


def test_the_phone_refuses_what_it_does_not_know(phone):
    asked = typed_message(sample(structs.Loading, 1), DOMAIN)
    refuse = """([asked, pinned]) => { try { typed.readForm(asked, pinned); return ""; }
    catch (error) { return error.message; } }"""
    assert phone.evaluate(refuse, [asked, {"chainId": 31337}]) == ""
    for changed, pinned, word in (
        (asked | {"primaryType": "Approval"}, None, "knows no form"),
        (
            asked | {"types": asked["types"] | {"Loading": asked["types"]["Loading"][:-1]}},
            None,
            "not the one",
        ),
        (asked | {"domain": asked["domain"] | {"name": "Other"}}, None, "another product"),
        (asked, {"chainId": 1}, "another chain"),
        (asked | {"message": asked["message"] | {"at": str(2**64)}}, None, "range"),
    ):
        assert word in phone.evaluate(refuse, [changed, pinned])


def test_a_pin_opens_the_key_and_wrong_ones_must_wait(phone):
    told = phone.evaluate(
        """async () => {
        const address = await vault.makeKey("730194");
        const digest = new Uint8Array(32).fill(7);
        const [made] = await vault.signWith("730194", [digest]);
        const wrong = [];
        for (let n = 0; n < 6; n += 1) {
            try { await vault.signWith("000001", [digest]); } catch (error) { wrong.push([error.left, error.waitMs > 0]); }
        }
        let shut = "";
        try { await vault.signWith("730194", [digest]); } catch (error) { shut = error.constructor.name; }
        return { address, made, wrong, shut };
    }"""
    )
    assert recover_digest(b"\x07" * 32, bytes.fromhex(told["made"][2:])) == told["address"]
    assert told["wrong"] == [[4, False], [3, False], [2, False], [1, False], [0, True], [0, True]]
    assert told["shut"] == "WrongPinError", "even the right PIN waits now"


def test_a_forgotten_pin_makes_a_request_that_the_new_key_has_signed(watched, product):
    page = watched.open(viewport={"width": 390, "height": 844})
    me = join(page)
    page.click("nav.tabs a[href='#/me']")
    page.get_by_role("button", name="忘记 PIN").click()
    page.fill("dialog #pin-new", "481905")
    page.fill("dialog #pin-again", "481905")
    page.click("dialog button.main")
    request = json.loads(page.input_value("#rebinding"))
    form = read_message(structs.KeyRecovery, request["message"])
    assert form.party == int(me)
    domain = product.container.client.domain("PartyRegistry")
    assert recover(form, domain, bytes.fromhex(request["signature"][2:])) == form.new_key
