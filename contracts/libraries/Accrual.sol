// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Interest, penalty and the cost ceiling, exact in integers, rounded once, down
/// @notice Mirrors finance/accrual.py (the formulas stand there), equal to the fen; ACT/365F. Numerators are
/// fen x ppm x days, exact over the loan's whole life; only `charged` divides.
library Accrual {
    /// @dev A year of ppm: what a numerator is divided by.
    uint256 internal constant DEN = 365 * 1_000_000;

    /// @notice What is frozen at release.
    /// @param fee one-off fee, fen. @param penaltyFrom first day that bears the penalty rate: due day + grace days.
    struct Rates {
        uint32 ratePpm;
        uint32 penaltyPpm;
        uint32 ceilingPpm;
        uint32 penaltyFrom;
        uint128 fee;
    }

    /// @notice Numerators up to, not including, day `accruedTo`. 128 bits hold 2^53 fen at 100% for 10^9 years.
    struct Account {
        uint128 interestNum;
        uint128 penaltyNum;
        uint128 ceilingNum;
        uint32 accruedTo;
    }

    /// @notice Cumulative fen charged so far, together under the ceiling.
    struct Charges {
        uint128 fee;
        uint128 penalty;
        uint128 interest;
    }

    /// @notice The numerators up to a day; a day already counted changes nothing.
    function accrued(Account memory account, Rates memory rates, uint256 principal, uint32 day)
        internal
        pure
        returns (Account memory)
    {
        if (day <= account.accruedTo) return account;
        uint256 daysPassed = day - account.accruedTo;
        uint256 contractDays = account.accruedTo < rates.penaltyFrom
            ? Math.min(day, rates.penaltyFrom) - account.accruedTo
            : 0;
        uint256 penaltyDays = daysPassed - contractDays;
        return Account({
            interestNum: account.interestNum + uint128(principal * rates.ratePpm * contractDays),
            penaltyNum: account.penaltyNum + uint128(principal * rates.penaltyPpm * penaltyDays),
            ceilingNum: account.ceilingNum + uint128(principal * rates.ceilingPpm * daysPassed),
            accruedTo: day
        });
    }

    /// @notice Fee, penalty and interest charged so far, each rounded down.
    function chargedDown(Account memory account, Rates memory rates)
        internal
        pure
        returns (Charges memory)
    {
        uint256 ceiling = account.ceilingNum;
        uint256 fee = Math.min(uint256(rates.fee) * DEN, ceiling);
        uint256 penalty = Math.min(account.penaltyNum, ceiling - fee);
        uint256 interest = Math.min(account.interestNum, ceiling - fee - penalty);
        return Charges({
            fee: uint128(fee / DEN),
            penalty: uint128(penalty / DEN),
            interest: uint128(interest / DEN)
        });
    }

    /// @notice What the ceiling keeps from being charged, fen, rounded down.
    function waivedDown(Account memory account, Rates memory rates)
        internal
        pure
        returns (uint128)
    {
        uint256 asked =
            uint256(rates.fee) * DEN + account.penaltyNum + account.interestNum;
        return asked > account.ceilingNum ? uint128((asked - account.ceilingNum) / DEN) : 0;
    }
}
