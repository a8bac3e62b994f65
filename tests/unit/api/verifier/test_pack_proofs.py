"""Headers, trees and forms of packs, without a chain."""

from __future__ import annotations

import pytest
import rlp
from eth_utils.crypto import keccak
from trie.exceptions import MissingTrieNode
from trie.hexary import HexaryTrie

from api.verifier.blocks import Header, Nodes, Receipt, Transaction, read_headers, trusted_numbers
from api.verifier.forms import abi_type, doors
from api.verifier.pack import PackRefusedError, read_json
from api.verifier.report import Mark, Report
from api.verifier.signatures import Keys
from api.verifier.story import Happened, Story
from chain.bindings import events, structs
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.freight_advance import FreightAdvance
from chain.bindings.waybill_registry import WaybillRegistry
from chain.ids import Address, Hash32, PartyId

ZERO = "0x" + "00" * 32


def header(number: int, parent: bytes) -> bytes:
    fields = [parent, bytes(32), bytes(20), bytes(32), bytes(32), bytes(32), bytes(256)]
    return rlp.encode(
        [*fields, 0, number, 30_000_000, 0, 1_700_000_000 + number, b"", bytes(32), bytes(8)]
    )


def chain(first: int, count: int) -> list[str]:
    parent, found = bytes(32), []
    for number in range(first, first + count):
        raw = header(number, parent)
        parent = keccak(raw)
        found.append("0x" + raw.hex())
    return found


def test_headers_rest_on_each_other_and_trust_runs_downwards():
    headers = read_headers(chain(7, 5))
    assert sorted(headers) == [7, 8, 9, 10, 11]
    assert trusted_numbers(headers, [headers[9].hash]) == {7, 8, 9}
    assert trusted_numbers(headers, [Hash32("0x" + "12" * 32)]) == set()
    gap = read_headers([*chain(7, 5)[:2], *chain(7, 5)[3:]])
    assert trusted_numbers(gap, [headers[11].hash]) == {10, 11}


@pytest.mark.parametrize(
    "given",
    [
        [chain(1, 2)[1], chain(1, 2)[0]],
        [chain(1, 1)[0], chain(1, 1)[0]],
        [chain(1, 1)[0], "0x" + header(2, bytes(32)).hex()],
        ["0xc0"],
        ["0xZZ"],
        ["0x" + header(1, bytes(32)).hex().upper()],
    ],
    ids=["order", "twice", "parent", "short", "hex", "upper case"],
)
def test_headers_that_are_none_or_do_not_rest_on_their_parents_are_refused(given):
    with pytest.raises(PackRefusedError):
        read_headers(given)


def tree(count: int) -> HexaryTrie:
    made = HexaryTrie({})
    for index in range(count):
        made[rlp.encode(index)] = b"value %d" % index * 9
    return made


@pytest.mark.parametrize("count", [1, 2, 17, 200])
def test_a_leaf_is_proven_by_its_nodes_and_by_no_fewer(count):
    whole = tree(count)
    for index in {0, count // 2, count - 1}:
        proof = ["0x" + rlp.encode(node).hex() for node in whole.get_proof(rlp.encode(index))]
        nodes = Nodes(proof)
        assert nodes.get(whole.root_hash, rlp.encode(index)) == b"value %d" % index * 9
        assert nodes.unused == 0
        with pytest.raises(MissingTrieNode):
            Nodes(proof[1:]).get(whole.root_hash, rlp.encode(index))
        more = Nodes([*proof, "0xc0"])
        more.get(whole.root_hash, rlp.encode(index))
        assert more.unused == 1


def test_what_is_not_in_a_tree_is_proven_absent():
    whole = tree(40)
    proof = ["0x" + rlp.encode(node).hex() for node in whole.get_proof(rlp.encode(99))]
    assert Nodes(proof).get(whole.root_hash, rlp.encode(99)) == b""


def test_transactions_of_each_type_are_read():
    to, data = bytes(19) + b"\7", b"\1\2\3\4"
    legacy = rlp.encode([1, 0, 21_000, to, 0, data, 2 * 77 + 35, 1, 1])
    typed = b"\2" + rlp.encode([77, 1, 0, 0, 21_000, to, 0, data, [], 0, 1, 1])
    listed = b"\1" + rlp.encode([77, 1, 0, 21_000, to, 0, data, [], 0, 1, 1])
    for raw in (legacy, typed, listed):
        read = Transaction.read(raw)
        assert (read.chain_id, read.data, int(read.to, 16)) == (77, data, 7)
        assert read.hash == "0x" + keccak(raw).hex()
    with pytest.raises(PackRefusedError):
        Transaction.read(b"\3" + rlp.encode([]))


def test_receipts_say_whether_it_succeeded_and_what_it_logged():
    log = [bytes(20), [b"\1" * 32], b"data"]
    for raw in (
        rlp.encode([1, 21_000, bytes(256), [log]]),
        b"\2" + rlp.encode([1, 21_000, bytes(256), [log]]),
    ):
        read = Receipt.read(raw)
        assert read.succeeded
        assert (read.logs[0].topics, read.logs[0].data) == ((b"\1" * 32,), b"data")
    assert not Receipt.read(rlp.encode([0, 21_000, bytes(256), []])).succeeded


def waybill(salt: int = 1) -> structs.Waybill:
    return structs.Waybill(
        ZERO, 1, 2, 3, "0x" + "11" * 32, ZERO, ZERO, 500, 10, 1, 2, 30, ZERO, ZERO, ZERO, 99,
        "0x" + salt.to_bytes(32, "big").hex(),
    )  # fmt: skip


def test_forms_are_found_again_in_the_calls_that_the_bindings_write():
    one = WaybillRegistry.issue(waybill(), b"\1" * 65, b"\2" * 65)
    door = doors()["WaybillRegistry", one.data[:4]]
    assert door.read(one.data) == [(waybill(), (b"\1" * 65, b"\2" * 65))]
    many = WaybillRegistry.issue_batch(
        [waybill(1), waybill(2)],
        [b"", b"\3" * 65],
        [b"\1" * 65, b"\2" * 65],
        True,  # noqa: FBT003  the signature is not ours to change
    )
    door = doors()["WaybillRegistry", many.data[:4]]
    assert door.read(many.data) == [
        (waybill(1), (b"", b"\1" * 65)),
        (waybill(2), (b"\3" * 65, b"\2" * 65)),
    ]
    payee = structs.Payee(PartyId(4), ZERO, "0x" + "ac" * 32, 500)
    request = structs.AdvanceRequest(ZERO, ZERO, ZERO, 500, (payee,), ZERO, ZERO, 9, ZERO)
    call = FreightAdvance.request(request, b"\1" * 65)
    ((found, _),) = doors()["FreightAdvance", call.data[:4]].read(call.data)
    assert found.payees[0] == payee
    batch = structs.TrackBatch(ZERO, 1, 0, ZERO, 5, 1, 2)
    call = DeliveryRegistry.commit_track(batch, b"\1" * 65)
    assert doors()["DeliveryRegistry", call.data[:4]].form is structs.TrackBatch


def test_the_abi_type_of_a_nested_form_follows_from_its_eip712_type():
    assert abi_type(structs.AdvanceRequest) == (
        "(bytes32,bytes32,bytes32,uint128,(uint64,bytes32,bytes32,uint128)[],bytes32,bytes32,uint64,bytes32)"
    )


def keys_of(*happened) -> Keys:
    story = Story()
    for number, event in enumerate(happened, 1):
        story.events.append(Happened(event, "PartyRegistry", Hash32(ZERO), None, (number, 0, 0)))
    return Keys.of(story)


A, B, C = (Address("0x" + digit * 40) for digit in "123")
ME = PartyId(5)


def test_a_key_speaks_from_its_event_until_the_next():
    keys = keys_of(
        events.PartyRegistered(ME, A, Hash32(ZERO)),
        events.KeyRotated(ME, A, B),
        events.KeyRevoked(ME, B),
        events.KeyRotated(ME, Address("0x" + "0" * 40), C),
    )
    assert not keys.broken
    spoken = [keys.at(ME, (number, 0, 5)) for number in range(5)]
    assert spoken == [None, A, B, None, C]
    assert keys.at(ME, (2, 0, -1)) == A
    assert keys.present(ME) == C
    assert keys.at(PartyId(6), (9, 0, 0)) is None


@pytest.mark.parametrize(
    "happened",
    [
        (events.PartyRegistered(ME, A, Hash32(ZERO)), events.KeyRotated(ME, B, C)),
        (events.KeyRotated(ME, A, B),),
        (events.PartyRegistered(ME, A, Hash32(ZERO)), events.PartyRegistered(ME, B, Hash32(ZERO))),
        (events.PartyRegistered(ME, A, Hash32(ZERO)), events.KeyRevoked(ME, B)),
    ],
    ids=["rotation left out", "registration left out", "twice", "another revoked"],
)
def test_a_history_with_an_event_left_out_is_broken(happened):
    assert ME in keys_of(*happened).broken


def test_json_has_one_form_within_bounds():
    assert read_json(b'{"a":[1,2.5,"x"]}', "x") == {"a": [1, 2.5, "x"]}
    for body in (
        b'{"b":1,"a":2}',
        b"[1.0]",
        b"[1e3]",
        b"[01]",
        b'"\\u0041"',
        b"[]x",
        b"",
        b"[1]\n",
    ):
        with pytest.raises(PackRefusedError):
            read_json(body, "x")


def test_a_report_is_as_bad_as_its_worst_check_and_green_only_when_anchored():
    report = Report("p.zip")
    section = report.section("one", "One")
    section.green("a", "x", "fine")
    assert (report.exit_code, section.mark) == (3, Mark.GREEN)
    report.anchored = True
    assert (report.exit_code, report.verified) == (0, True)
    section.unknown("b", "", "who knows")
    assert (report.exit_code, section.mark) == (0, Mark.UNKNOWN)
    assert not section.require(False, "c", "y", "good", "bad")  # noqa: FBT003  what is looked at comes first
    assert (report.exit_code, section.mark) == (1, Mark.RED)
    assert "✗ [c] y: bad" in report.to_text()
    assert report.to_json()["counts"] == {"green": 1, "red": 1, "not_checkable": 1}


def test_a_header_is_read_from_the_bytes_that_hash():
    raw = header(9, b"\5" * 32)
    read = Header.read(raw)
    assert (read.number, read.parent, read.hash) == (
        9,
        "0x" + "05" * 32,
        "0x" + keccak(raw).hex(),
    )
    assert int(read.at.timestamp()) == 1_700_000_009
