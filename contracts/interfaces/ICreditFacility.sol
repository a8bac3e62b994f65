// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {LineId, PartyId} from "../types/Ids.sol";
import {CreditLine, LineChange, VaultMove} from "../types/CreditForms.sol";

/// @title Lenders' lines and vaults
/// @notice Promise E: reserved + drawn <= limit at each approval and the cash is locked then. Knows nothing of waybills.
interface ICreditFacility {
    event LineOpened(
        LineId indexed line, PartyId indexed lender, PartyId indexed borrower, uint128 limit
    );
    event LineChanged(LineId indexed line, uint128 limit, bool frozen, uint64 validUntil);
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
    error LineHeadroomExceeded(LineId line, uint256 headroom, uint256 amount);
    error VaultCashTooLow(PartyId lender, uint256 cash, uint256 amount);
    error CreditFormExpired(uint64 expires, uint64 nowAt);
    error CreditFormUsed(bytes32 digest);
    error CreditCallerNotAllowed(address caller);

    function openLine(
        CreditLine calldata form,
        bytes calldata lenderSignature,
        bytes calldata borrowerSignature
    ) external returns (LineId line);
    /// @param borrowerSignature may be empty unless the limit rises.
    function changeLine(
        LineChange calldata form,
        bytes calldata lenderSignature,
        bytes calldata borrowerSignature
    ) external;
    function moveVault(VaultMove calldata form, bytes calldata lenderSignature) external;

    // For FreightAdvance, fixed at construction.
    function reserve(LineId line, uint128 amount) external;
    function voidReserve(LineId line, uint128 amount) external;
    /// @notice Takes amount out of the reserve and pays it from the vault to a token account.
    function draw(LineId line, uint128 amount, address to) external;
    /// @notice Books money that has come into the vault: principal lowers drawn, income only adds cash.
    function repaid(LineId line, uint128 principal, uint128 income) external;
    function writtenOff(LineId line, uint128 principal) external;

    function get(LineId line)
        external
        view
        returns (CreditLine memory terms, uint128 limit, bool frozen, uint64 validUntil);
    /// @notice The rates of the terms, which never change; all zero for a line that is not open.
    function ratesOf(LineId line)
        external
        view
        returns (uint32 ratePpm, uint32 penaltyPpm, uint32 ceilingPpm, uint16 feeBps);
    /// @notice What the terms say of a release; all zero for a line that is not open.
    function releaseTermsOf(LineId line)
        external
        view
        returns (bool gated, uint16 toleranceBps, uint16 tenorDays, uint16 graceDays);
    /// @notice The attestor whom the lender chose in the terms.
    function attestorOf(LineId line) external view returns (PartyId);
    function reserved(LineId line) external view returns (uint128);
    function drawn(LineId line) external view returns (uint128);
    function headroom(LineId line) external view returns (uint128);
    /// @return cash of the lender that is not reserved.
    function cash(PartyId lender) external view returns (uint128);
}
