// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Beijing calendar days
/// @notice day = floor((unix seconds + 8 h) / 86,400); the same in chain/clock.py.
library Calendar {
    uint256 internal constant BEIJING_OFFSET = 8 hours;
    uint256 internal constant DAY = 1 days;

    /// @notice The Beijing day of this block.
    function today() internal view returns (uint32) {
        return dayOf(block.timestamp);
    }

    function dayOf(uint256 time) internal pure returns (uint32) {
        return uint32((time + BEIJING_OFFSET) / DAY);
    }
}
