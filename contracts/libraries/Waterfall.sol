// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title The order in which a payment on a loan is shared
/// @notice Mirrors finance/waterfall.py: fee, penalty, interest, principal, residue. A later bucket gets something
/// only when every earlier one is empty after it; the five parts are the payment to the last fen.
library Waterfall {
    struct Debt {
        uint128 fee;
        uint128 penalty;
        uint128 interest;
        uint128 principal;
    }

    struct Shares {
        uint128 fee;
        uint128 penalty;
        uint128 interest;
        uint128 principal;
        uint128 residue;
    }

    function shared(uint128 payment, Debt memory debt) internal pure returns (Shares memory s) {
        s.residue = payment;
        (s.fee, s.residue) = _served(s.residue, debt.fee);
        (s.penalty, s.residue) = _served(s.residue, debt.penalty);
        (s.interest, s.residue) = _served(s.residue, debt.interest);
        (s.principal, s.residue) = _served(s.residue, debt.principal);
    }

    function _served(uint128 rest, uint128 owed) private pure returns (uint128 part, uint128 left) {
        part = uint128(Math.min(rest, owed));
        left = rest - part;
    }
}
