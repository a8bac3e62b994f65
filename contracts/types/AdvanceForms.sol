// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AdvanceId, LineId, PartyId, TripId, WaybillId} from "./Ids.sol";

/// @notice One payee of an advance, in order of payment; the first is the driver.
/// @param waybill the payee's own waybill (he is its performer), below the borrower's.
/// @param account salted hash of the payout account.
/// @param amount fen to pay him when everything is accepted.
struct Payee {
    PartyId party;
    WaybillId waybill;
    bytes32 account;
    uint128 amount;
}

/// @notice Asks for a trip's freight on the borrower's waybill. Signed by the borrower.
/// @param fingerprint keyed hash of (consignor, shipping note, serial, tier): one receivable, pledged once.
/// @param decision hash of the risk decision record.
struct AdvanceRequest {
    LineId line;
    WaybillId waybill;
    TripId trip;
    uint128 principal;
    Payee[] payees;
    bytes32 fingerprint;
    bytes32 decision;
    uint64 expires;
    bytes32 salt;
}

/// @notice The debtor acknowledges the debt, was notified of its assignment and will pay only the collection account.
struct Acknowledgement {
    AdvanceId advance;
    PartyId debtor;
    WaybillId waybill;
    TripId trip;
    PartyId lender;
    bytes32 notice;
    uint64 expires;
    bytes32 salt;
}

/// @notice A payee agrees to be paid into this account. Signed by the payee.
struct PayeeConsent {
    AdvanceId advance;
    PartyId party;
    bytes32 account;
    uint64 expires;
    bytes32 salt;
}

/// @notice The lender approves: borrower, amount, term and payees are those of the request. Signed by the lender.
struct Approval {
    AdvanceId advance;
    PartyId borrower;
    uint128 principal;
    uint64 approvedUntil;
    uint64 expires;
    bytes32 salt;
}

/// @notice The lender's own gate on a RELEASABLE advance. Signed by the lender.
/// @param open true releases, false cancels.
struct Gate {
    AdvanceId advance;
    bool open;
    bytes32 reason;
    uint64 expires;
    bytes32 salt;
}

/// @notice The borrower repays from his own account. Signed by the borrower.
struct Repayment {
    AdvanceId advance;
    uint128 amount;
    uint64 expires;
    bytes32 salt;
}

/// @notice A lender's act on a running loan. Signed by the lender.
/// @param act 1 default, 2 write off, 3 start interest on a later day (value), 4 decline, 5 waive charges (value),
/// 6 extend: a later due day (value); the rates stay, and penalty that has accrued stays too.
struct LenderAct {
    AdvanceId advance;
    uint8 act;
    uint128 value;
    bytes32 document;
    uint64 expires;
    bytes32 salt;
}
