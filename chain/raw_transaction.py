"""A signed transaction as bytes: what is stored before the first send and sent ever after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chain.abi import hash32
from chain.headers import encode_rlp, whole_bytes
from chain.keccak import keccak

if TYPE_CHECKING:
    from chain.ids import Address, Hash32
    from chain.ports import Signer


def sign_transaction(
    signer: Signer,
    *,
    chain_id: int,
    nonce: int,
    gas_price: int,
    gas: int,
    to: Address | None,
    data: bytes,
) -> tuple[bytes, Hash32]:
    """The bytes of a signed transaction and their hash.

    The form before EIP-1559, bound to the chain by EIP-155: every network of the EVM takes it, and a
    price of zero is just zero.
    """
    numbers = [whole_bytes(number) for number in (nonce, gas_price, gas)]
    body = [*numbers, bytes.fromhex(to[2:]) if to else b"", b"", data]
    signature = signer.sign_digest(keccak(encode_rlp([*body, whole_bytes(chain_id), b"", b""])))
    v = whole_bytes(signature[64] - 27 + 35 + 2 * chain_id)
    r, s = signature[:32].lstrip(b"\x00"), signature[32:64].lstrip(b"\x00")
    raw = encode_rlp([*body, v, r, s])
    return raw, hash32(keccak(raw))
