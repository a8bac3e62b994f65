// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AdvanceId, WaybillId} from "../types/Ids.sol";
import {Cascade} from "../types/MoneyForms.sol";

/// @title Freight paid in, shared out
/// @notice Promises G (what comes in goes out to the last fen) and I (bounded). A debtor pays into the waybill's collection
/// account; anyone may settle what lies there: advances first (fees, penalty, interest, principal), residue to the performer,
/// what exceeds the waybill back to the issuer. A cascade spends only residue, by its owner's signature.
interface IFreightSettlement {
    event FreightSettled(
        WaybillId indexed waybill,
        uint128 received,
        uint128 toLoans,
        uint128 toChildren,
        uint128 toPerformer,
        uint128 refunded
    );
    event LoanSettled(WaybillId indexed waybill, AdvanceId indexed advance, uint128 amount);
    event CascadeSigned(WaybillId indexed waybill, WaybillId indexed child, uint128 most);

    error SettlementNothingToSettle(WaybillId waybill);
    error SettlementFormExpired(uint64 expires, uint64 nowAt);
    error SettlementFormUsed(bytes32 digest);
    error SettlementCascadesTooMany(WaybillId waybill, uint256 most);
    error SettlementChildInvalid(WaybillId waybill, WaybillId child);

    /// @notice Lets residue of a waybill flow on to one that its performer issued, up to an amount.
    /// @dev Several add up. Children's due dates never depend on it.
    /// @custom:access Anyone; authority comes from the signatures.
    function signCascade(Cascade calldata form, bytes calldata performerSignature) external;
    /// @notice Shares what lies in the waybill's collection account.
    /// @dev Freight paid before its delivery waits there; what exceeds it goes back once the waybill has ended or is delivered.
    /// @custom:access Anyone.
    function settle(WaybillId waybill) external;

    /// @notice Where the debtor of a waybill pays.
    /// @return the pseudo address whose token balance is what was paid in for this waybill.
    function collectionAccount(WaybillId waybill) external pure returns (address);
    /// @notice Most cascades signed on one waybill.
    function MAX_CASCADES() external view returns (uint256);
    /// @notice What one cascade may still spend.
    /// @return fen that a cascade may still spend.
    function cascadeLeft(WaybillId waybill, uint256 index) external view returns (uint128);
    /// @notice The children that cascades of a waybill flow to, in the order of signing.
    function cascadesOf(WaybillId waybill) external view returns (WaybillId[] memory);
}
