// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AdvanceState, TripState, WaybillState} from "../types/States.sol";

/// @title The tables of promise J: which state may follow which
/// @notice A table is a row of 16 bits for each state, lowest first; bit n of a row says that state n may follow. The contracts
/// assert each move before they make it: what a verb checks decides whether it is refused, and this stands behind it. The same
/// tables are published in tests/contracts/data/moves.json and proved move by move in tests/contracts/proofs/Proofs.sol.
library Moves {
    // Rows from the highest state down; 4 bits a digit, 4 digits a row.
    uint256 private constant ADVANCE = 0x0020_00a0_0000_0060_0210_0218_0104_0002;
    uint256 private constant TRIP = 0x0024_0038_0024_0002;
    uint256 private constant WAYBILL = 0x0010_0028_0024_0002;

    /// @return whether an advance may go from one state to another.
    function advance(AdvanceState from, AdvanceState to) internal pure returns (bool) {
        return _has(ADVANCE, uint8(from), uint8(to));
    }

    /// @return whether a trip may go from one state to another.
    function trip(TripState from, TripState to) internal pure returns (bool) {
        return _has(TRIP, uint8(from), uint8(to));
    }

    /// @return whether a waybill may go from one state to another.
    function waybill(WaybillState from, WaybillState to) internal pure returns (bool) {
        return _has(WAYBILL, uint8(from), uint8(to));
    }

    function _has(uint256 table, uint8 from, uint8 to) private pure returns (bool) {
        return table >> (uint256(from) * 16 + to) & 1 == 1;
    }
}
