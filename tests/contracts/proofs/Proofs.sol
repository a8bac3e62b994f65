// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Accrual} from "contracts/libraries/Accrual.sol";
import {Moves} from "contracts/libraries/Moves.sol";
import {Waterfall} from "contracts/libraries/Waterfall.sol";
import {AdvanceState, TripState, WaybillState} from "contracts/types/States.sol";

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

    function check_nothing_counted_ever_falls_with_time(
        Accrual.Account memory account,
        Accrual.Rates memory rates,
        uint64 principal,
        uint32 day
    ) external pure {
        Accrual.Account memory after_ = Accrual.accrued(account, rates, principal, day);
        assert(after_.interestNum >= account.interestNum);
        assert(after_.penaltyNum >= account.penaltyNum);
        assert(after_.ceilingNum >= account.ceilingNum);
    }

    function check_what_is_waived_is_what_was_asked_above_the_ceiling(
        uint128 interestNum,
        uint128 penaltyNum,
        uint128 ceilingNum,
        uint64 fee
    ) external pure {
        Accrual.Account memory account = Accrual.Account(interestNum, penaltyNum, ceilingNum, 0);
        uint128 waived = Accrual.waivedDown(account, Accrual.Rates(0, 0, 0, 0, fee));
        uint256 asked = uint256(fee) * 365_000_000 + interestNum + penaltyNum;
        assert(waived == (asked > ceilingNum ? (asked - ceilingNum) / 365_000_000 : 0));
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

    // -- the state tables (promise J) -------------------------------------------------------------

    /// @dev Written out beside the table of bits, move by move, for every pair of states.
    function check_the_table_of_advances_is_the_published_one(uint8 from, uint8 to) external pure {
        if (from > uint8(type(AdvanceState).max) || to > uint8(type(AdvanceState).max)) return;
        (AdvanceState a, AdvanceState b) = (AdvanceState(from), AdvanceState(to));
        bool published = (a == AdvanceState.None && b == AdvanceState.Requested)
            || (a == AdvanceState.Requested && b == AdvanceState.Approved)
            || (a == AdvanceState.Requested && b == AdvanceState.Declined)
            || (a == AdvanceState.Approved && b == AdvanceState.Releasable)
            || (a == AdvanceState.Approved && b == AdvanceState.Released)
            || (a == AdvanceState.Approved && b == AdvanceState.Voided)
            || (a == AdvanceState.Releasable && b == AdvanceState.Released)
            || (a == AdvanceState.Releasable && b == AdvanceState.Voided)
            || (a == AdvanceState.Released && b == AdvanceState.Repaid)
            || (a == AdvanceState.Released && b == AdvanceState.Defaulted)
            || (a == AdvanceState.Defaulted && b == AdvanceState.Repaid)
            || (a == AdvanceState.Defaulted && b == AdvanceState.WrittenOff)
            || (a == AdvanceState.WrittenOff && b == AdvanceState.Repaid);
        assert(Moves.advance(a, b) == published);
    }

    function check_the_table_of_trips_is_the_published_one(uint8 from, uint8 to) external pure {
        if (from > uint8(type(TripState).max) || to > uint8(type(TripState).max)) return;
        (TripState a, TripState b) = (TripState(from), TripState(to));
        bool published = (a == TripState.None && b == TripState.Open)
            || (a == TripState.Open && b == TripState.Loaded)
            || (a == TripState.Open && b == TripState.Void)
            || (a == TripState.Loaded && b == TripState.Held)
            || (a == TripState.Loaded && b == TripState.Delivered)
            || (a == TripState.Loaded && b == TripState.Void)
            || (a == TripState.Held && b == TripState.Loaded)
            || (a == TripState.Held && b == TripState.Void);
        assert(Moves.trip(a, b) == published);
    }

    function check_the_table_of_waybills_is_the_published_one(uint8 from, uint8 to) external pure {
        if (from > uint8(type(WaybillState).max) || to > uint8(type(WaybillState).max)) return;
        (WaybillState a, WaybillState b) = (WaybillState(from), WaybillState(to));
        bool published = (a == WaybillState.None && b == WaybillState.Issued)
            || (a == WaybillState.Issued && b == WaybillState.InTransit)
            || (a == WaybillState.Issued && b == WaybillState.Cancelled)
            || (a == WaybillState.InTransit && b == WaybillState.Delivered)
            || (a == WaybillState.InTransit && b == WaybillState.Cancelled)
            || (a == WaybillState.Delivered && b == WaybillState.Paid);
        assert(Moves.waybill(a, b) == published);
    }

    /// @dev Money that is out comes back, or is lost and may come back: it is never out twice.
    function check_an_advance_is_released_once_on_any_way(uint8 a, uint8 b, uint8 c, uint8 d)
        external
        pure
    {
        uint8 most = uint8(type(AdvanceState).max);
        if (a > most || b > most || c > most || d > most) return;
        AdvanceState released = AdvanceState.Released;
        // After a release, through any three states that follow it, there is none again.
        bool walked = Moves.advance(released, AdvanceState(a))
            && Moves.advance(AdvanceState(a), AdvanceState(b))
            && Moves.advance(AdvanceState(b), AdvanceState(c));
        if (!walked) return;
        assert(AdvanceState(a) != released && AdvanceState(b) != released);
        assert(AdvanceState(c) != released && !Moves.advance(AdvanceState(c), AdvanceState(d)));
    }

    function check_what_has_ended_moves_no_more(uint8 to) external pure {
        if (to > uint8(type(AdvanceState).max)) return;
        assert(!Moves.advance(AdvanceState.Repaid, AdvanceState(to)));
        assert(!Moves.advance(AdvanceState.Declined, AdvanceState(to)));
        assert(!Moves.advance(AdvanceState.Voided, AdvanceState(to)));
        if (to > uint8(type(TripState).max)) return;
        assert(!Moves.trip(TripState.Delivered, TripState(to)));
        assert(!Moves.trip(TripState.Void, TripState(to)));
        assert(!Moves.waybill(WaybillState.Paid, WaybillState(to)));
        assert(!Moves.waybill(WaybillState.Cancelled, WaybillState(to)));
    }
}
