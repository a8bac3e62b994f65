// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {Accrual} from "contracts/libraries/Accrual.sol";
import {AdvanceTerms} from "contracts/libraries/AdvanceTerms.sol";
import {Waterfall} from "contracts/libraries/Waterfall.sol";
import {Payee} from "contracts/types/AdvanceForms.sol";
import {LineId, PartyId, TripId, WaybillId} from "contracts/types/Ids.sol";

import {Pure} from "./Pure.sol";

/// @title The pure libraries on 10,000 random values a property, and on figures worked by hand
/// @dev Pure code is fast, so these run as often in `make test` as in CI.
contract LibrariesTest is Test {
    uint32 internal constant RATE = 120_000;
    uint32 internal constant PENALTY = 180_000;
    uint32 internal constant CEILING = 240_000;

    Pure internal lib;

    function setUp() public {
        lib = Pure(deployCode("Pure.sol:Pure"));
    }

    // -- waterfall --------------------------------------------------------------------------------

    /// forge-config: default.fuzz.runs = 10000
    function test_fuzz_a_payment_is_shared_to_the_last_fen_in_order(
        uint128 payment,
        Waterfall.Debt memory debt
    ) public view {
        Waterfall.Shares memory s = lib.shared(payment, debt);
        uint256 rest = payment;
        uint256 part = rest < debt.fee ? rest : debt.fee;
        assertEq(s.fee, part);
        rest -= part;
        part = rest < debt.penalty ? rest : debt.penalty;
        assertEq(s.penalty, part);
        rest -= part;
        part = rest < debt.interest ? rest : debt.interest;
        assertEq(s.interest, part);
        rest -= part;
        part = rest < debt.principal ? rest : debt.principal;
        assertEq(s.principal, part);
        assertEq(s.residue, rest - part);
    }

    // -- accrual ----------------------------------------------------------------------------------

    /// @dev Day by day from the terms, not by the library's formula.
    /// forge-config: default.fuzz.runs = 10000
    function test_fuzz_days_are_counted_one_by_one(uint64 principal, uint8 grace, uint8 days_)
        public
        view
    {
        principal = uint64(bound(principal, 0, 2 ** 53 - 1));
        Accrual.Rates memory r = Accrual.Rates(RATE, PENALTY, CEILING, 100 + uint32(grace), 0);
        Accrual.Account memory whole =
            lib.accrued(Accrual.Account(0, 0, 0, 100), r, principal, 100 + uint32(days_));
        uint256 contractDays = days_ < grace ? days_ : grace;
        assertEq(whole.interestNum, uint256(principal) * RATE * contractDays);
        assertEq(whole.penaltyNum, uint256(principal) * PENALTY * (days_ - contractDays));
        assertEq(whole.ceilingNum, uint256(principal) * CEILING * days_);
        assertEq(whole.accruedTo, 100 + uint32(days_));
    }

    /// forge-config: default.fuzz.runs = 10000
    function test_fuzz_stops_on_the_way_change_nothing(
        uint64 principal,
        uint8 first,
        uint8 second,
        uint8 grace
    ) public view {
        principal = uint64(bound(principal, 0, 2 ** 53 - 1));
        Accrual.Rates memory r = Accrual.Rates(RATE, PENALTY, CEILING, 7 + uint32(grace), 0);
        Accrual.Account memory start = Accrual.Account(3, 5, 7, 7);
        uint32 end = 7 + uint32(first) + second;
        Accrual.Account memory stops = lib.accrued(start, r, principal, 7 + uint32(first));
        stops = lib.accrued(stops, r, principal, end);
        Accrual.Account memory whole = lib.accrued(start, r, principal, end);
        assertEq(abi.encode(stops), abi.encode(whole));
        // A day that is counted already counts no more.
        assertEq(abi.encode(lib.accrued(whole, r, principal, end)), abi.encode(whole));
        assertEq(abi.encode(lib.accrued(whole, r, principal, 3)), abi.encode(whole));
    }

    /// forge-config: default.fuzz.runs = 10000
    function test_fuzz_charges_and_what_is_waived_are_what_was_asked(
        uint96 interestNum,
        uint96 penaltyNum,
        uint96 ceilingNum,
        uint64 fee
    ) public view {
        Accrual.Account memory a = Accrual.Account(interestNum, penaltyNum, ceilingNum, 0);
        Accrual.Rates memory r = Accrual.Rates(0, 0, 0, 0, fee);
        Accrual.Charges memory c = lib.chargedDown(a, r);
        uint256 den = 365_000_000;
        uint256 room = ceilingNum;
        uint256 part = uint256(fee) * den < room ? uint256(fee) * den : room;
        assertEq(c.fee, part / den);
        room -= part;
        part = penaltyNum < room ? penaltyNum : room;
        assertEq(c.penalty, part / den);
        room -= part;
        part = interestNum < room ? interestNum : room;
        assertEq(c.interest, part / den);
        uint256 asked = uint256(fee) * den + penaltyNum + interestNum;
        assertEq(lib.waivedDown(a, r), asked > ceilingNum ? (asked - ceilingNum) / den : 0);
    }

    function test_forty_days_at_twelve_percent_by_hand() public view {
        Accrual.Rates memory r = Accrual.Rates(RATE, PENALTY, CEILING, 30, 6_40);
        Accrual.Account memory a = Accrual.Account(0, 0, 0, 0);
        a = lib.accrued(a, r, 6_400_00, 40);
        Accrual.Charges memory c = lib.chargedDown(a, r);
        assertEq(c.interest, 63_12); // 640,000 x 0.12 x 30 / 365 = 6,312.3
        assertEq(c.penalty, 31_56); // 640,000 x 0.18 x 10 / 365 = 3,156.2
        assertEq(c.fee, 6_40);
        assertEq(lib.waivedDown(a, r), 0);
    }

    function test_the_ceiling_takes_interest_first_then_penalty_then_fee() public view {
        uint128 den = 365_000_000;
        Accrual.Rates memory r = Accrual.Rates(0, 0, 0, 0, 10);
        Accrual.Charges memory c =
            lib.chargedDown(Accrual.Account(9 * den, 8 * den, 20 * den, 0), r);
        assertEq(c.fee, 10);
        assertEq(c.penalty, 8);
        assertEq(c.interest, 2);
        assertEq(lib.waivedDown(Accrual.Account(9 * den, 8 * den, 20 * den, 0), r), 7);
        c = lib.chargedDown(Accrual.Account(9 * den, 8 * den, 4 * den, 0), r);
        assertEq(c.fee, 4);
        assertEq(c.penalty + c.interest, 0);
    }

    // -- calendar ---------------------------------------------------------------------------------

    function test_beijing_days_begin_at_sixteen_hours_utc() public {
        assertEq(lib.dayOf(0), 0);
        assertEq(lib.dayOf(16 hours - 1), 0);
        assertEq(lib.dayOf(16 hours), 1);
        vm.warp(1_769_442_600); // 2026-01-26T15:50Z, 23:50 in Beijing
        assertEq(lib.today(), 20_479);
        vm.warp(1_769_442_600 + 10 minutes);
        assertEq(lib.today(), 20_480);
    }

    // -- accounts ---------------------------------------------------------------------------------

    function test_accounts_are_the_last_twenty_bytes_of_their_hash() public view {
        bytes32 party = keccak256(abi.encode("yundan.party", uint64(7)));
        assertEq(lib.ofParty(PartyId.wrap(7)), address(uint160(uint256(party))));
        bytes32 waybill = keccak256(abi.encode("yundan.collection", bytes32("w")));
        assertEq(lib.ofCollection(WaybillId.wrap("w")), address(uint160(uint256(waybill))));
    }

    // -- terms kept as code -----------------------------------------------------------------------

    function test_fuzz_terms_are_read_as_they_were_stored(AdvanceTerms.Terms memory t, uint8 payees)
        public
    {
        Payee[] memory all = new Payee[](payees % 9);
        for (uint256 i = 0; i < all.length; i++) {
            bytes32 seed = keccak256(abi.encode(t.fingerprint, i));
            all[i] = Payee({
                party: PartyId.wrap(uint64(uint256(seed))),
                waybill: WaybillId.wrap(keccak256(abi.encode(seed, "waybill"))),
                account: keccak256(abi.encode(seed, "account")),
                amount: uint64(uint256(seed) >> 64)
            });
        }
        t.payees = all;
        address at = lib.stored(t);
        assertEq(abi.encode(lib.loaded(at)), abi.encode(t));
        // STOP first: whoever calls the account runs nothing of it.
        assertEq(uint8(at.code[0]), 0);
        (bool done, bytes memory said) = at.call("anything");
        assertTrue(done);
        assertEq(said.length, 0);
    }

    function test_terms_of_the_greatest_numbers_keep_their_places() public {
        AdvanceTerms.Terms memory t = AdvanceTerms.Terms({
            line: LineId.wrap(bytes32(type(uint256).max)),
            waybill: WaybillId.wrap(bytes32(type(uint256).max)),
            trip: TripId.wrap(bytes32(type(uint256).max)),
            fingerprint: bytes32(type(uint256).max),
            borrower: PartyId.wrap(type(uint64).max),
            lender: PartyId.wrap(0),
            debtor: PartyId.wrap(type(uint64).max),
            principal: 0,
            leafVersion: type(uint32).max,
            payees: new Payee[](1)
        });
        t.payees[0] = Payee(
            PartyId.wrap(type(uint64).max),
            WaybillId.wrap(0),
            bytes32(type(uint256).max),
            type(uint64).max
        );
        assertEq(abi.encode(lib.loaded(lib.stored(t))), abi.encode(t));
    }

    function test_terms_that_cannot_be_stored_are_refused() public {
        AdvanceTerms.Terms memory t;
        t.payees = new Payee[](8);
        // Enough to come to the creation, too little for what it stores (200 gas a byte).
        (bool done, bytes memory why) =
            address(lib).call{gas: 100_000}(abi.encodeCall(lib.stored, (t)));
        assertFalse(done);
        assertEq(bytes32(bytes4(why)), bytes32(AdvanceTerms.AdvanceTermsNotStored.selector));
    }
}
