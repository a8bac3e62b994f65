// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Accrual} from "contracts/libraries/Accrual.sol";
import {Waterfall} from "contracts/libraries/Waterfall.sol";

/// @title What halmos proves for all values, not for some
/// @dev `python -m tests.contracts.deep proofs`; each check_ is one proof. A call that reverts proves nothing and is no
/// failure: unit tests show what reverts. What multiplies or divides two unknowns is beyond the solver and is tested instead.
contract Proofs {
    // -- the waterfall (promises G, I) ------------------------------------------------------------

    function check_no_part_is_more_than_is_owed(uint128 payment, Waterfall.Debt memory debt)
        external
        pure
    {
        Waterfall.Shares memory s = Waterfall.shared(payment, debt);
        assert(s.fee <= debt.fee && s.penalty <= debt.penalty);
        assert(s.interest <= debt.interest && s.principal <= debt.principal);
    }

    function check_a_later_part_waits_for_the_earlier(uint128 payment, Waterfall.Debt memory debt)
        external
        pure
    {
        Waterfall.Shares memory s = Waterfall.shared(payment, debt);
        if (s.penalty + uint256(s.interest) + s.principal + s.residue != 0) {
            assert(s.fee == debt.fee);
        }
        if (uint256(s.interest) + s.principal + s.residue != 0) assert(s.penalty == debt.penalty);
        if (uint256(s.principal) + s.residue != 0) assert(s.interest == debt.interest);
    }

    function check_each_part_is_what_is_owed_or_what_is_left(
        uint128 payment,
        Waterfall.Debt memory debt
    ) external pure {
        Waterfall.Shares memory s = Waterfall.shared(payment, debt);
        uint128 rest = payment;
        assert(s.fee == (rest < debt.fee ? rest : debt.fee));
        rest -= s.fee;
        assert(s.penalty == (rest < debt.penalty ? rest : debt.penalty));
        rest -= s.penalty;
        assert(s.interest == (rest < debt.interest ? rest : debt.interest));
        rest -= s.interest;
        assert(s.principal == (rest < debt.principal ? rest : debt.principal));
        assert(s.residue == rest - s.principal);
    }

    function check_who_owes_nothing_gets_all_back(uint128 payment) external pure {
        Waterfall.Shares memory s = Waterfall.shared(payment, Waterfall.Debt(0, 0, 0, 0));
        assert(s.residue == payment);
        assert(s.fee == 0 && s.penalty == 0 && s.interest == 0 && s.principal == 0);
    }

    function check_paying_nothing_settles_nothing(Waterfall.Debt memory debt) external pure {
        Waterfall.Shares memory s = Waterfall.shared(0, debt);
        assert(s.fee == 0 && s.penalty == 0 && s.interest == 0);
        assert(s.principal == 0 && s.residue == 0);
    }

    function check_a_payment_below_the_fee_is_all_fee(uint128 payment, Waterfall.Debt memory debt)
        external
        pure
    {
        if (payment > debt.fee) return;
        Waterfall.Shares memory s = Waterfall.shared(payment, debt);
        assert(s.fee == payment);
        assert(s.penalty == 0 && s.interest == 0 && s.principal == 0 && s.residue == 0);
    }

    // -- accrual (promise H) ----------------------------------------------------------------------

    function check_a_counted_day_counts_once(
        Accrual.Account memory account,
        Accrual.Rates memory rates,
        uint64 principal,
        uint32 day
    ) external pure {
        if (day > account.accruedTo) return;
        Accrual.Account memory after_ = Accrual.accrued(account, rates, principal, day);
        assert(_same(account, after_));
    }

    function check_nothing_accrues_on_nothing(
        Accrual.Account memory account,
        Accrual.Rates memory rates,
        uint32 day
    ) external pure {
        Accrual.Account memory after_ = Accrual.accrued(account, rates, 0, day);
        assert(after_.interestNum == account.interestNum);
        assert(after_.penaltyNum == account.penaltyNum);
        assert(after_.ceilingNum == account.ceilingNum);
    }

    function check_at_no_rate_nothing_accrues(
        Accrual.Account memory account,
        uint32 penaltyFrom,
        uint64 principal,
        uint32 day
    ) external pure {
        Accrual.Rates memory rates = Accrual.Rates(0, 0, 0, penaltyFrom, 0);
        Accrual.Account memory after_ = Accrual.accrued(account, rates, principal, day);
        assert(after_.interestNum == account.interestNum);
        assert(after_.penaltyNum == account.penaltyNum);
        assert(after_.ceilingNum == account.ceilingNum);
    }

    function check_no_contract_interest_after_grace(
        Accrual.Account memory account,
        Accrual.Rates memory rates,
        uint64 principal,
        uint32 day
    ) external pure {
        if (account.accruedTo < rates.penaltyFrom) return;
        Accrual.Account memory after_ = Accrual.accrued(account, rates, principal, day);
        assert(after_.interestNum == account.interestNum);
    }

    function check_with_no_ceiling_left_nothing_is_charged(
        uint128 interestNum,
        uint128 penaltyNum,
        uint128 fee
    ) external pure {
        Accrual.Account memory account = Accrual.Account(interestNum, penaltyNum, 0, 0);
        Accrual.Charges memory c = Accrual.chargedDown(account, Accrual.Rates(0, 0, 0, 0, fee));
        assert(c.fee == 0 && c.penalty == 0 && c.interest == 0);
    }

    function check_where_nothing_is_asked_nothing_is_waived(uint128 ceilingNum) external pure {
        Accrual.Account memory account = Accrual.Account(0, 0, ceilingNum, 0);
        assert(Accrual.waivedDown(account, Accrual.Rates(0, 0, 0, 0, 0)) == 0);
    }

    function _same(Accrual.Account memory a, Accrual.Account memory b) private pure returns (bool) {
        return a.interestNum == b.interestNum && a.penaltyNum == b.penaltyNum
            && a.ceilingNum == b.ceilingNum && a.accruedTo == b.accruedTo;
    }
}
