// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IDeliveryListener} from "./IDeliveryListener.sol";
import {
    Acknowledgement,
    AdvanceRequest,
    Approval,
    Gate,
    LenderAct,
    Payee,
    PayeeConsent,
    Repayment
} from "../types/AdvanceForms.sol";
import {Due} from "../types/CreditForms.sol";
import {AdvanceId, LineId, PartyId, TripId, WaybillId} from "../types/Ids.sol";
import {AdvanceState} from "../types/States.sol";

/// @notice An advance as it stands now.
struct AdvanceRecord {
    LineId line;
    WaybillId waybill;
    TripId trip;
    PartyId borrower;
    PartyId lender;
    AdvanceState state;
    uint128 principal;
    uint128 released;
    uint128 outstanding;
    uint64 approvedUntil;
    uint32 startDay;
    uint32 dueDay;
    bytes32 fingerprint;
}

/// @title The freight advance: request, approve, release at delivery to the payees, repay
/// @notice Promises D (entrusted), F (once), H (fair cost), J, K, L.
interface IFreightAdvance is IDeliveryListener {
    event AdvanceRequested(
        AdvanceId indexed advance,
        LineId indexed line,
        TripId indexed trip,
        WaybillId waybill,
        PartyId borrower,
        uint128 principal,
        bytes32 decision
    );
    event DebtAcknowledged(AdvanceId indexed advance, PartyId indexed debtor, bytes32 notice);
    event PayeeConsented(AdvanceId indexed advance, PartyId indexed payee, bytes32 account);
    event AdvanceApproved(
        AdvanceId indexed advance, PartyId indexed lender, uint128 principal, uint64 approvedUntil
    );
    event AdvanceReleasable(AdvanceId indexed advance, bytes32 reason);
    event AdvanceGateOpened(AdvanceId indexed advance, bytes32 reason);
    event AdvanceReleased(
        AdvanceId indexed advance, uint128 amount, uint32 startDay, uint32 dueDay
    );
    event PayeePaid(
        AdvanceId indexed advance,
        PartyId indexed payee,
        WaybillId waybill,
        uint128 amount,
        bytes32 payout
    );
    event PayeeFailed(
        AdvanceId indexed advance, PartyId indexed payee, uint128 amount, bytes reason
    );
    event AdvanceVoided(AdvanceId indexed advance, bytes32 reason);
    event AdvanceDeclined(AdvanceId indexed advance);
    event AdvanceRepaid(
        AdvanceId indexed advance,
        uint128 fee,
        uint128 penalty,
        uint128 interest,
        uint128 principal,
        uint128 waived,
        uint128 outstanding
    );
    event AdvanceClosed(AdvanceId indexed advance);
    event AdvanceDefaulted(AdvanceId indexed advance, uint32 day);
    event AdvanceWrittenOff(AdvanceId indexed advance, uint128 principal);
    event InterestDeferred(AdvanceId indexed advance, uint32 startDay);
    event AdvanceExtended(AdvanceId indexed advance, uint32 dueDay);

    error AdvanceUnknown(AdvanceId advance);
    error AdvanceAlreadyRequested(AdvanceId advance);
    error AdvanceUnexpectedState(AdvanceId advance, AdvanceState current, AdvanceState wanted);
    error AdvanceFieldInvalid(bytes32 field);
    error AdvanceFormExpired(uint64 expires, uint64 nowAt);
    error AdvanceFormUsed(bytes32 digest);
    error AdvanceBorrowerDiffers(PartyId expected, PartyId given);
    error AdvanceLenderDiffers(PartyId expected, PartyId given);
    error AdvanceDebtorUnfit(WaybillId waybill, PartyId debtor);
    error AdvanceWaybillNotSigned(WaybillId waybill);
    error AdvanceNotAcknowledged(AdvanceId advance);
    error AdvancePayeeNotConsented(AdvanceId advance, PartyId payee);
    error AdvancePayeeInvalid(uint256 index, PartyId payee);
    error AdvanceDriverNotFirst(TripId trip, PartyId first);
    error AdvancePayeesSum(uint256 sum, uint256 principal);
    error AdvanceExceedsReceivable(uint256 most, uint256 principal);
    error AdvanceReceivablePledged(bytes32 fingerprint);
    error AdvanceTripTaken(TripId trip);
    error AdvanceApprovalDiffers(AdvanceId advance);
    error AdvanceApprovalEnded(AdvanceId advance, uint64 approvedUntil);
    error AdvanceNotExpired(AdvanceId advance);
    error AdvanceGateClosed(AdvanceId advance);
    error AdvanceShortageHeld(AdvanceId advance, uint64 accepted, uint64 loaded);
    error AdvanceDisputed(AdvanceId advance);
    error AdvanceAmended(AdvanceId advance);
    error AdvanceTooMany(WaybillId waybill, uint256 most);
    error AdvanceTooEarly(AdvanceId advance, uint32 day, uint32 from);
    error AdvanceCallerNotAllowed(address caller);

    /// @notice Asks for an advance on a waybill for one trip below it. Signed by the line's borrower.
    /// @dev Refused while paused. The debtor must have signed the waybill and is neither borrower nor lender.
    /// @custom:access Anyone; authority comes from the signatures.
    function request(AdvanceRequest calldata form, bytes calldata borrowerSignature)
        external
        returns (AdvanceId);
    /// @notice The debtor acknowledges this debt, its assignment and the collection account. Repeating does nothing.
    /// @custom:access Anyone; authority comes from the signatures.
    function acknowledge(Acknowledgement calldata form, bytes calldata debtorSignature) external;
    /// @notice A payee agrees to the frozen account. Repeating does nothing.
    /// @custom:access Anyone; authority comes from the signatures.
    function consent(PayeeConsent calldata form, bytes calldata payeeSignature) external;
    /// @notice Locks the reserve, pledges the receivable, freezes the payees and listens for the delivery.
    /// @dev Refused while paused, without acknowledgement or any payee's consent, and if the leaf was amended since the request.
    /// @custom:access Anyone; authority comes from the signatures.
    function approve(Approval calldata form, bytes calldata lenderSignature) external;
    /// @notice Approves what the line's rule covers, with every check and effect of `approve`.
    /// @custom:access Anyone; authority comes from the lender's signature on the rule.
    function approveByRule(AdvanceId advance) external;
    /// @notice The lender's word on a RELEASABLE advance (gate, shortage beyond tolerance, dispute).
    /// @dev Open overrules gate, amendment and shortage; it does not overrule a dispute.
    /// @custom:access Anyone; authority comes from the signatures.
    function gate(Gate calldata form, bytes calldata lenderSignature) external;
    /// @notice Tries the release again; every check runs again. Anyone.
    /// @dev Also pays payees who failed before, one by one.
    /// @custom:access Anyone.
    function retry(AdvanceId advance) external;
    /// @notice Frees the reserve of an approval that ended before delivery, of a gate not answered in time, of a void trip. Anyone.
    /// @custom:access Anyone.
    function expire(AdvanceId advance) external;
    /// @notice The borrower repays at any time without a fee; what exceeds the debt is not taken.
    /// @custom:access Anyone; authority comes from the signatures.
    function repay(Repayment calldata form, bytes calldata borrowerSignature) external;
    /// @notice The lender's acts on a request or a loan, see LenderAct. None of them moves money to anybody.
    /// @custom:access Anyone; authority comes from the signatures.
    function act(LenderAct calldata form, bytes calldata lenderSignature) external;
    /// @notice Stops requests and approvals; nothing else (promise K).
    /// @custom:access Restricted by the AccessManager, without delay.
    function pause() external;
    /// @notice Lets requests and approvals go on.
    /// @custom:access Restricted by the AccessManager, with a delay.
    function unpause() external;

    // For FreightSettlement, fixed at construction.
    /// @notice Takes what the loan is owed, at most `amount`, from a token account into the lender's vault.
    /// @return used what the loan took (fee, penalty, interest, principal).
    /// @custom:access FreightSettlement only.
    function settle(AdvanceId advance, address from, uint128 amount) external returns (uint128 used);

    /// @notice Pays one payee what was granted to him. Only this contract itself, so that each payee is tried separately.
    /// @custom:access This contract only.
    function payPayee(AdvanceId advance, uint256 index) external;

    /// @notice Seconds in which the lender answers a RELEASABLE advance: five business days lie in seven days.
    function GATE_WAIT() external view returns (uint64);
    /// @notice Most payees of one advance.
    function MAX_PAYEES() external view returns (uint256);
    /// @notice Most advances alive on one waybill, so that a settlement ends.
    function MAX_ADVANCES() external view returns (uint256);
    /// @notice An advance as it stands now; all zero if there is none.
    function get(AdvanceId advance) external view returns (AdvanceRecord memory);
    /// @notice The payees as requested, in the order of payment; frozen by the approval.
    function payeesOf(AdvanceId advance) external view returns (Payee[] memory);
    /// @notice What became of one payee.
    /// @return granted fen at release; @return consented the payee signed; @return paid his money has moved.
    function grantOf(AdvanceId advance, uint256 index)
        external
        view
        returns (uint128 granted, bool consented, bool paid);
    /// @notice What would close the advance on a Beijing day.
    function due(AdvanceId advance, uint32 day) external view returns (Due memory);
    /// @notice The advance approved on a trip, zero if none or voided.
    function advanceOf(TripId trip) external view returns (AdvanceId);
    /// @notice Advances approved on the waybill and not yet ended, oldest first; at most MAX_ADVANCES.
    function advancesOn(WaybillId waybill) external view returns (AdvanceId[] memory);
    /// @notice True if a fingerprint is taken; by whom is not told.
    function isPledged(bytes32 fingerprint) external view returns (bool);
    /// @notice The Beijing day of this block.
    function today() external view returns (uint32);
}
