// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PartyId, WaybillId} from "./Ids.sol";

/// @notice Bank money received. Signed by both signers of the custodian; the bank's reference is used once.
/// @param account a party's account or a waybill's collection account (pseudo addresses, no key).
struct MintReceipt {
    bytes32 bankReference;
    address account;
    uint128 amount;
    uint64 valueDay;
}

/// @notice A payout carried out by the bank. Signed by both signers of the custodian; burns the queued amount.
/// @param payout id given when the payout was queued; @param sequence the bank's payment sequence, used once.
struct PayoutReceipt {
    bytes32 payout;
    bytes32 sequence;
    uint64 valueDay;
}

/// @notice A party takes money out of its account. Signed by the party.
struct PayoutRequest {
    PartyId party;
    bytes32 account;
    uint128 amount;
    uint64 expires;
    bytes32 salt;
}

/// @notice The bank has sent a payout back: the payee names another account of his. Signed by the payee and, for the
/// bank's word that the money came back, by the first signer of the custodian. The amount and the payee stay.
struct PayoutRedirect {
    bytes32 payout;
    bytes32 account;
    uint64 expires;
    bytes32 salt;
}

/// @notice The performer lets what remains of his freight pay the waybills he issued below. Signed by the performer.
struct Cascade {
    WaybillId waybill;
    WaybillId child;
    uint128 most;
    uint64 expires;
    bytes32 salt;
}
