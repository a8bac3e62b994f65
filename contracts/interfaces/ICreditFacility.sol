// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Waterfall} from "../libraries/Waterfall.sol";
import {AdvanceId, LineId, PartyId} from "../types/Ids.sol";
import {ApprovalRule, CreditLine, Due, LineChange, VaultMove} from "../types/CreditForms.sol";

/// @notice A loan as it stands now.
/// @param drawn fen paid out so far. @param outstanding fen of principal still owed.
/// @param startDay first Beijing day that counts. @param dueDay last day without arrears.
/// @param accruedTo day up to which, not including, days are counted; the payment that closes a loan leaves it as it was.
struct LoanRecord {
    LineId line;
    uint128 drawn;
    uint128 outstanding;
    uint128 feePaid;
    uint128 penaltyPaid;
    uint128 interestPaid;
    uint32 startDay;
    uint32 dueDay;
    uint32 accruedTo;
    bool writtenOff;
}

/// @title Lenders' lines, vaults and the loans drawn on them
/// @notice Promise E: reserved + drawn <= limit at each approval and the cash is locked then. Knows nothing of waybills.
interface ICreditFacility {
    event LineOpened(
        LineId indexed line, PartyId indexed lender, PartyId indexed borrower, uint128 limit
    );
    event LineChanged(LineId indexed line, uint128 limit, bool frozen, uint64 validUntil);
    event LineRuleSet(
        LineId indexed line, PartyId indexed debtor, uint128 most, uint64 until, uint32 validFor
    );
    event VaultMoved(PartyId indexed lender, bool deposit, uint128 amount, uint128 cash);
    event LineReserved(LineId indexed line, uint128 amount, uint128 reserved, uint128 drawn);
    event LineReserveVoided(LineId indexed line, uint128 amount, uint128 reserved);
    event LineDrawn(LineId indexed line, uint128 amount, uint128 reserved, uint128 drawn);
    event LineRepaid(LineId indexed line, uint128 principal, uint128 income, uint128 drawn);
    event LineWrittenOff(LineId indexed line, uint128 principal, uint128 drawn);

    error LineUnknown(LineId line);
    error LineAlreadyOpen(LineId line);
    error LineFieldInvalid(bytes32 field);
    error LineFrozen(LineId line);
    error LineEnded(LineId line, uint64 validUntil);
    error LineRuleRefuses(LineId line, PartyId debtor, uint128 most, uint64 until);
    error LineHeadroomExceeded(LineId line, uint256 headroom, uint256 amount);
    error VaultCashTooLow(PartyId lender, uint256 cash, uint256 amount);
    error CreditFormExpired(uint64 expires, uint64 nowAt);
    error CreditFormUsed(bytes32 digest);
    error CreditCallerNotAllowed(address caller);

    /// @notice Opens a line on terms that never change. Signed by lender and borrower.
    /// @dev Rates are bounded by the ceiling and the ceiling by 100% a year; what the law allows is checked off chain by date.
    /// @custom:access Anyone; authority comes from the signatures.
    function openLine(
        CreditLine calldata form,
        bytes calldata lenderSignature,
        bytes calldata borrowerSignature
    ) external returns (LineId line);
    /// @notice Moves limit, freeze and end of a line. Lowering a limit takes headroom only: what is approved stays.
    /// @custom:access Anyone; authority comes from the signatures.
    /// @param borrowerSignature may be empty unless the limit rises.
    function changeLine(
        LineChange calldata form,
        bytes calldata lenderSignature,
        bytes calldata borrowerSignature
    ) external;
    /// @notice The lender's standing word on a line: what anybody may have approved within it. Replaces the rule before it.
    /// @dev Binds no advance approved already. Freezing the line, lowering its limit or a rule of zero ends what it lets through.
    /// What counts is the order of landing: a rule signed and not yet submitted can replace a later one until it expires.
    /// @custom:access Anyone; authority comes from the signatures.
    function setRule(ApprovalRule calldata form, bytes calldata lenderSignature) external;
    /// @notice Whether the line's rule covers an advance of this debtor and amount; reverts with the rule if it does not.
    /// @return until the last second of an approval given by it now.
    function approvedByRule(LineId line, PartyId debtor, uint128 principal)
        external
        view
        returns (uint64 until);
    /// @notice The rule by which advances on a line are approved; all zero if there is none.
    function ruleOf(LineId line)
        external
        view
        returns (PartyId debtor, uint128 most, uint64 until, uint32 validFor);

    /// @notice Moves a lender's own free money into his vault or out of it. Reserved money cannot be taken out.
    /// @custom:access Anyone; authority comes from the signatures.
    function moveVault(VaultMove calldata form, bytes calldata lenderSignature) external;

    // For FreightAdvance, fixed at construction.
    /// @notice Locks cash for an approved advance (promise E).
    /// @custom:access FreightAdvance only.
    function reserve(LineId line, uint128 amount) external;
    /// @notice Gives locked cash back to the vault.
    /// @custom:access FreightAdvance only.
    function voidReserve(LineId line, uint128 amount) external;
    /// @notice Opens a loan on a line; nothing is drawn yet.
    /// @return dueDay startDay and the line's tenor.
    /// @custom:access FreightAdvance only.
    function openLoan(AdvanceId loan, LineId line, uint32 startDay) external returns (uint32 dueDay);
    /// @notice Takes amount out of the reserve, pays it from the vault to a party's token account and queues it there
    /// for the party's bank account.
    /// @custom:access FreightAdvance only.
    function draw(AdvanceId loan, uint128 amount, PartyId payee, bytes32 account, bytes32 payout)
        external;
    /// @notice Accrues to today, shares a payment, moves what the loan takes from a token account into the vault.
    /// @return shares how it was shared; the residue was not moved.
    /// @return waived what the ceiling keeps from being charged, final when nothing is outstanding.
    /// @return outstanding principal still owed.
    /// @param whole true if nothing more will be drawn: then a loan whose principal is back is closed for good.
    /// @custom:access FreightAdvance only.
    function repay(AdvanceId loan, address from, uint128 amount, bool whole)
        external
        returns (Waterfall.Shares memory shares, uint128 waived, uint128 outstanding);
    /// @notice Takes the principal out of the line's drawn amount; the claim stands and what still comes in is income.
    /// @custom:access FreightAdvance only.
    function writeOff(AdvanceId loan) external returns (uint128 principal);
    /// @notice What a lender may let go of a loan, as LenderAct counts it: 3 moves the first day of interest to a later one, only
    /// before any day is counted; 5 gives up charges due today, in the order of a payment; 6 moves the due day to a later one,
    /// by ten years at most.
    /// @dev What has accrued stays: from a later due day on, the days until it and its grace bear the contract rate again.
    /// @param value a day, or fen of 5.
    /// @return false if it may not.
    /// @custom:access FreightAdvance only.
    function concede(AdvanceId loan, uint8 what, uint128 value) external returns (bool);

    /// @notice What would close the loan on a Beijing day.
    function dueOn(AdvanceId loan, uint32 day) external view returns (Due memory);
    /// @notice The part of loanOf that an advance shows.
    function scheduleOf(AdvanceId loan)
        external
        view
        returns (uint128 drawnSoFar, uint128 outstanding, uint32 startDay, uint32 dueDay);
    /// @notice First day that bears the penalty rate's first day behind it: due day, grace and one more.
    function arrearsFrom(AdvanceId loan) external view returns (uint32 day);
    /// @notice A loan as it stands now; all zero before its release.
    function loanOf(AdvanceId loan) external view returns (LoanRecord memory);
    /// @notice Principal still owed.
    function outstandingOf(AdvanceId loan) external view returns (uint128);
    /// @notice The terms as signed, and what has moved since. Reverts with LineUnknown.
    function get(LineId line)
        external
        view
        returns (CreditLine memory terms, uint128 limit, bool frozen, uint64 validUntil);
    /// @notice What the terms say of a release; all zero for a line that is not open.
    function releaseTermsOf(LineId line) external view returns (bool gated, uint16 toleranceBps);
    /// @notice Who stands on a line, and how much of a receivable it advances. Reverts with LineUnknown.
    function standingOf(LineId line)
        external
        view
        returns (PartyId lender, PartyId borrower, PartyId attestor, uint16 advanceBps);
    /// @notice Fen approved and locked on a line.
    function reserved(LineId line) external view returns (uint128);
    /// @notice Fen of principal paid out and not yet returned or written off.
    function drawn(LineId line) external view returns (uint128);
    /// @notice What may still be approved: limit less reserved and drawn.
    function headroom(LineId line) external view returns (uint128);
    /// @notice What a lender may take out or approve on.
    /// @return cash of the lender that is not reserved.
    function cash(PartyId lender) external view returns (uint128);
}
