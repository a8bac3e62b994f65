"""The client that firms use: it holds the party's own key, signs what was asked, and sends each act once.

client = YundanClient("https://yundan.example", signer=LocalSigner.open_keystore(path, password),
                      party=PartyId(7210398421153))
client.open_key(label="dispatch")
client.act(f"/v1/deliveries/{trip}/confirmation", accepted_milli=12_000)
"""

from __future__ import annotations

from api.client.errors import ClientError, RefusedError, UnreachableError
from api.client.session import YundanClient

__all__ = ["ClientError", "RefusedError", "UnreachableError", "YundanClient"]
