// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {LineId, PartyId} from "./Ids.sol";

/// @notice The terms of a credit line. Signed by lender and borrower; only limit, freeze and end date move later.
/// @param limit fen that may be reserved and drawn together.
/// @param ratePpm contract rate, millionths a year (ACT/365F); @param penaltyPpm rate after grace, in its place.
/// @param ceilingPpm most that fee, interest and penalty together may come to, millionths a year of principal.
/// @param feeBps one-off fee on the principal released, 1/10,000, paid at the end.
/// @param advanceBps most that may be advanced of a receivable; @param toleranceBps shortage that still releases by itself.
/// @param tenorDays days from release to due day; @param graceDays days after it without penalty.
/// @param attestor the lender's choice; one of the attestations must be his.
/// @param gated true if each release also waits for the lender's gate.
/// @param terms hash of the contract text (order of allocation included).
struct CreditLine {
    PartyId lender;
    PartyId borrower;
    uint128 limit;
    uint32 ratePpm;
    uint32 penaltyPpm;
    uint32 ceilingPpm;
    uint16 feeBps;
    uint16 advanceBps;
    uint16 toleranceBps;
    uint16 tenorDays;
    uint16 graceDays;
    PartyId attestor;
    bool gated;
    uint64 validUntil;
    bytes32 terms;
    uint64 expires;
    bytes32 salt;
}

/// @notice Changes what may move of a line. Signed by the lender; a higher limit also by the borrower.
struct LineChange {
    LineId line;
    uint128 limit;
    bool frozen;
    uint64 validUntil;
    uint64 expires;
    bytes32 salt;
}

/// @notice What the lender approves on a line without another word. Signed by the lender; a later rule replaces it whole.
/// @param debtor the only debtor whose debts it covers, nobody for any.
/// @param most fen of one advance; zero ends the rule. @param until last second at which the rule approves.
/// @param validFor seconds from an approval by the rule to its end.
struct ApprovalRule {
    LineId line;
    PartyId debtor;
    uint128 most;
    uint64 until;
    uint32 validFor;
    bytes32 document;
    uint64 expires;
    bytes32 salt;
}

/// @notice Moves the lender's own money between his account and his vault. Signed by the lender.
/// @param deposit true into the vault, false out of it.
struct VaultMove {
    PartyId lender;
    bool deposit;
    uint128 amount;
    uint64 expires;
    bytes32 salt;
}

/// @notice What is owed on a day.
struct Due {
    uint128 principal;
    uint128 fee;
    uint128 penalty;
    uint128 interest;
}
