// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {ICreditFacility, LoanRecord} from "contracts/interfaces/ICreditFacility.sol";
import {Due, IFreightAdvance} from "contracts/interfaces/IFreightAdvance.sol";
import {IFreightSettlement} from "contracts/interfaces/IFreightSettlement.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";
import {ISettlementToken, PayoutRecord} from "contracts/interfaces/ISettlementToken.sol";

/// @title Lines, vaults, loans, token and settlement at their bounds
contract MoneyBoundsTest is Base {
    function _refusedField(bytes32 field) internal {
        refused(abi.encodeWithSelector(ICreditFacility.LineFieldInvalid.selector, field));
    }

    function _change(uint128 limit) internal returns (LineChange memory) {
        return LineChange(line, limit, false, START + 10 days, soon(), salt());
    }

    // -- lines ------------------------------------------------------------------------------------

    function test_the_last_terms_of_each_field_are_taken() public {
        CreditLine memory f = lineForm();
        f.limit = 2 ** 53 - 1;
        (f.ceilingPpm, f.ratePpm, f.penaltyPpm) = (1_000_000, 1_000_000, 1_000_000);
        (f.feeBps, f.advanceBps, f.toleranceBps) = (10_000, 10_000, 10_000);
        (f.tenorDays, f.graceDays) = (3650, 3650);
        (f.validUntil, f.expires) = (uint64(block.timestamp), uint64(block.timestamp));
        f.gated = true;
        line = openLine(f);
        assertEq(facility.headroom(line), 2 ** 53 - 1);
        (bool gated, uint16 tolerance) = facility.releaseTermsOf(line);
        assertTrue(gated);
        assertEq(tolerance, 10_000);
        (PartyId lender, PartyId borrower, PartyId attestor, uint16 advanceBps) =
            facility.standingOf(line);
        assertTrue(lender == LENDER && borrower == SUB && attestor == ATTESTOR1);
        assertEq(advanceBps, 10_000);
        f = lineForm();
        (f.limit, f.advanceBps, f.tenorDays) = (1, 1, 1);
        line = openLine(f);
        assertEq(facility.headroom(line), 1);
    }

    function test_one_more_than_the_last_term_is_refused() public {
        CreditLine memory f = lineForm();
        f.limit = 0;
        _refusedField("limit");
        openLine(f);
        f = lineForm();
        f.borrower = NOBODY;
        _refusedField("borrower");
        openLine(f);
        f = lineForm();
        f.attestor = NOBODY;
        _refusedField("attestor");
        openLine(f);
        f = lineForm();
        f.advanceBps = 10_001;
        _refusedField("advanceBps");
        openLine(f);
        f = lineForm();
        f.tenorDays = 3651;
        _refusedField("tenorDays");
        openLine(f);
    }

    function test_the_same_limit_and_the_least_need_no_borrower() public {
        line = openLine(lineForm());
        LineChange memory f = _change(lineForm().limit);
        f.expires = uint64(block.timestamp);
        bytes memory a = sign(LENDER, address(facility), hash(f));
        submit(address(facility), abi.encodeCall(facility.changeLine, (f, a, "")));
        f = _change(0);
        a = sign(SUB, address(facility), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(facility), abi.encodeCall(facility.changeLine, (f, a, "")));
        a = sign(LENDER, address(facility), hash(f));
        submit(address(facility), abi.encodeCall(facility.changeLine, (f, a, "")));
        assertEq(facility.headroom(line), 0);
        f.expires = uint64(block.timestamp) - 1;
        refused(
            abi.encodeWithSelector(
                ICreditFacility.CreditFormExpired.selector, f.expires, block.timestamp
            )
        );
        submit(address(facility), abi.encodeCall(facility.changeLine, (f, a, "")));
        f = _change(2 ** 53 - 1);
        changeLine(f);
        assertEq(facility.headroom(line), 2 ** 53 - 1);
    }

    function test_a_vault_is_emptied_to_the_last_fen_in_time() public {
        mint(accountOf(LENDER), 100);
        VaultMove memory f = VaultMove(LENDER, true, 100, uint64(block.timestamp), salt());
        bytes memory s = sign(LENDER, address(facility), hash(f));
        submit(address(facility), abi.encodeCall(facility.moveVault, (f, s)));
        moveVault(LENDER, false, 100);
        assertEq(facility.cash(LENDER), 0);
        assertEq(balanceOf(LENDER), 100);
        refused(
            abi.encodeWithSelector(
                ISettlementToken.TokenFreeBalanceTooLow.selector, accountOf(LENDER), 100, 101
            )
        );
        moveVault(LENDER, true, 101);
        f.expires = uint64(block.timestamp) - 1;
        refused(ICreditFacility.CreditFormExpired.selector);
        submit(address(facility), abi.encodeCall(facility.moveVault, (f, s)));
    }

    function test_a_reserve_takes_the_last_fen_of_room_and_cash_in_the_last_second() public {
        line = openLine(lineForm());
        fund(LENDER, 40);
        changeLine(_change(40));
        vm.warp(START + 10 days);
        vm.startPrank(address(advances));
        facility.reserve(line, 30);
        facility.reserve(line, 10);
        assertEq(facility.headroom(line), 0);
        assertEq(facility.cash(LENDER), 0);
        assertEq(facility.reserved(line), 40);
        facility.voidReserve(line, 15);
        assertEq(facility.reserved(line), 25);
        assertEq(facility.cash(LENDER), 15);
        vm.stopPrank();
    }

    // -- loans ------------------------------------------------------------------------------------

    function _loan() internal returns (AdvanceId id) {
        id = approvedAdvance();
        deliver(TRIP, QUANTITY);
        assertState(id, AdvanceState.Released);
    }

    function test_a_loan_tells_all_that_was_drawn_paid_and_counted() public {
        AdvanceId id = _loan();
        uint32 day = advances.today();
        LoanRecord memory n = facility.loanOf(id);
        assertEq(LineId.unwrap(n.line), LineId.unwrap(line));
        assertEq(n.drawn, PRINCIPAL);
        assertEq(n.outstanding, PRINCIPAL);
        assertEq(n.startDay, day);
        assertEq(n.dueDay, day + 45);
        assertEq(n.accruedTo, day);
        assertEq(facility.arrearsFrom(id), day + 45 + 3 + 1);
        vm.warp(block.timestamp + 60 days);
        Due memory d = advances.due(id, day + 60);
        uint256 interest = uint256(PRINCIPAL) * 109_500 * 48 / 365_000_000;
        uint256 penalty = uint256(PRINCIPAL) * 164_250 * 12 / 365_000_000;
        assertEq(d.fee, 6_40);
        assertEq(d.interest, interest);
        assertEq(d.penalty, penalty);
        mint(accountOf(SUB), 300_00);
        repay(id, 300_00);
        n = facility.loanOf(id);
        assertEq(n.feePaid, 6_40);
        assertEq(n.penaltyPaid, penalty);
        assertEq(n.interestPaid, interest);
        uint256 back = 300_00 - 6_40 - penalty - interest;
        assertEq(n.outstanding, PRINCIPAL - back);
        assertEq(n.accruedTo, day + 60);
        assertEq(facility.drawn(line), PRINCIPAL - back);
        assertEq(facility.outstandingOf(id), PRINCIPAL - back);
        (uint128 drawn, uint128 outstanding, uint32 start, uint32 due) = facility.scheduleOf(id);
        assertEq(drawn, PRINCIPAL);
        assertEq(outstanding, PRINCIPAL - back);
        assertEq(start, day);
        assertEq(due, day + 45);
        // From now on the days bear on what is left.
        vm.warp(block.timestamp + 1 days);
        assertEq(
            advances.due(id, day + 61).penalty,
            (uint256(PRINCIPAL) * 164_250 * 12 + uint256(PRINCIPAL - back) * 164_250) / 365_000_000
                - penalty
        );
    }

    function test_what_is_paid_in_parts_adds_up() public {
        AdvanceId id = _loan();
        mint(accountOf(SUB), 500_00);
        vm.warp(block.timestamp + 20 days);
        repay(id, 3_20);
        repay(id, 3_20);
        assertEq(facility.loanOf(id).feePaid, 6_40);
        uint128 interest;
        for (uint256 i; i < 2; ++i) {
            vm.warp(block.timestamp + 10 days);
            Due memory d = advances.due(id, advances.today());
            assertEq(d.fee + d.penalty, 0);
            interest += d.interest;
            repay(id, d.interest);
        }
        assertEq(facility.loanOf(id).interestPaid, interest);
        uint128 penalty;
        vm.warp(block.timestamp + 40 days);
        for (uint256 i; i < 2; ++i) {
            vm.warp(block.timestamp + 10 days);
            Due memory d = advances.due(id, advances.today());
            penalty += d.penalty;
            interest += d.interest;
            repay(id, d.penalty + d.interest);
        }
        assertEq(facility.loanOf(id).penaltyPaid, penalty);
        assertEq(facility.loanOf(id).interestPaid, interest);
        assertEq(facility.loanOf(id).outstanding, PRINCIPAL);
    }

    function test_a_closed_loan_owes_nothing_on_any_day() public {
        AdvanceId id = _loan();
        mint(accountOf(SUB), PRINCIPAL);
        repay(id, PRINCIPAL); // on the day of release it costs nothing
        Due memory d = advances.due(id, advances.today() + 100);
        assertEq(d.principal + d.fee + d.penalty + d.interest, 0);
        assertEq(facility.drawn(line), 0);
    }

    function test_interest_starts_on_any_day_up_to_the_due_day() public {
        AdvanceId id = _loan();
        uint32 day = advances.today();
        act(id, 3, day + 45);
        assertEq(facility.loanOf(id).startDay, day + 45);
        assertEq(facility.loanOf(id).accruedTo, day + 45);
        assertEq(advances.due(id, day + 45).interest, 0);
    }

    function test_all_charges_due_are_waived_and_not_a_fen_more() public {
        AdvanceId id = _loan();
        vm.warp(block.timestamp + 10 days);
        Due memory d = advances.due(id, advances.today());
        uint128 all = d.fee + d.interest;
        refused(IFreightAdvance.AdvanceFieldInvalid.selector);
        act(id, 5, all + 1);
        act(id, 5, all);
        d = advances.due(id, advances.today());
        assertEq(d.fee + d.interest + d.penalty, 0);
        assertEq(d.principal, PRINCIPAL);
        assertEq(facility.loanOf(id).interestPaid, all - 6_40, "as if it were paid");
    }

    // -- the token --------------------------------------------------------------------------------

    function test_custodians_are_two_and_somebody() public {
        bytes memory error_ = abi.encodeWithSelector(
            ISettlementToken.TokenFieldInvalid.selector, bytes32("custodian")
        );
        vm.startPrank(admin);
        vm.expectRevert(error_);
        token.setCustodian(NOBODY, DRIVER);
        vm.expectRevert(error_);
        token.setCustodian(DRIVER, NOBODY);
        vm.expectRevert(
            abi.encodeWithSelector(ISettlementToken.TokenFieldInvalid.selector, bytes32("cap"))
        );
        token.setDailyCap(2 ** 96);
        token.setDailyCap(2 ** 96 - 1);
        vm.stopPrank();
        assertEq(token.dailyCap(), 2 ** 96 - 1);
    }

    function test_what_was_minted_on_a_day_adds_up_and_ends_with_it() public {
        vm.prank(admin);
        token.setDailyCap(100);
        mint(accountOf(DRIVER), 40);
        mint(accountOf(SUB), 60);
        uint32 day = advances.today();
        assertEq(token.mintedOn(day), 100);
        assertEq(token.mintedOn(day + 1), 0);
        assertEq(token.mintedOn(day - 1), 0);
        vm.warp(block.timestamp + 1 days);
        mint(accountOf(DRIVER), 30);
        assertEq(token.mintedOn(day + 1), 30);
        assertEq(token.mintedOn(day), 0, "only the last day is kept");
        assertEq(token.totalSupply(), 130);
        assertEq(balanceOf(DRIVER), 70);
    }

    function test_all_that_is_free_can_be_queued_and_what_is_queued_cannot_move() public {
        (address from, address to) = (accountOf(DRIVER), accountOf(SUB));
        mint(from, 100);
        vm.startPrank(address(facility));
        token.queuePayout(DRIVER, "account", 60, "p1");
        token.move(from, to, 30);
        vm.expectRevert(
            abi.encodeWithSelector(ISettlementToken.TokenFreeBalanceTooLow.selector, from, 10, 11)
        );
        token.move(from, to, 11);
        token.queuePayout(DRIVER, "account", 10, "p2");
        vm.expectRevert(
            abi.encodeWithSelector(ISettlementToken.TokenFieldInvalid.selector, bytes32("amount"))
        );
        token.queuePayout(DRIVER, "account", 0, "p3");
        vm.stopPrank();
        assertEq(token.freeBalance(DRIVER), 0);
        assertEq(balanceOf(DRIVER), 70);
        payOut("p1");
        assertEq(balanceOf(DRIVER), 10);
        assertEq(token.freeBalance(DRIVER), 0);
        PayoutRecord memory p = token.payoutOf("p2");
        assertTrue(p.party == DRIVER && p.state == PayoutState.Queued);
        assertEq(p.amount, 10);
        assertEq(p.account, "account");
        vm.prank(address(settlement));
        token.move(to, from, 5);
        assertEq(token.freeBalance(DRIVER), 5);
    }

    function test_payouts_and_redirects_end_with_their_second() public {
        mint(accountOf(DRIVER), 100);
        PayoutRequest memory f = PayoutRequest(DRIVER, "a", 10, uint64(block.timestamp), salt());
        bytes memory s = sign(DRIVER, address(token), hash(f));
        submit(address(token), abi.encodeCall(token.requestPayout, (f, s)));
        PayoutRedirect memory r = PayoutRedirect(hash(f), "b", uint64(block.timestamp) - 1, salt());
        s = sign(DRIVER, address(token), hash(r));
        bytes memory c = sign(CUSTODIAN1, address(token), hash(r));
        refused(
            abi.encodeWithSelector(
                ISettlementToken.TokenFormExpired.selector, r.expires, block.timestamp
            )
        );
        submit(address(token), abi.encodeCall(token.redirectPayout, (r, s, c)));
        r.payout = "nowhere";
        r.expires = soon();
        refused(
            abi.encodeWithSelector(
                ISettlementToken.TokenPayoutUnexpectedState.selector,
                r.payout,
                PayoutState.None,
                PayoutState.Queued
            )
        );
        submit(address(token), abi.encodeCall(token.redirectPayout, (r, s, c)));
    }

    // -- settlement -------------------------------------------------------------------------------

    function test_a_cascade_is_signed_in_its_last_second_and_spends_what_is_left() public {
        issueChain();
        deliver(TRIP, QUANTITY);
        Cascade memory f = Cascade(mid, leaf, 1_000_00, uint64(block.timestamp), salt());
        bytes memory s = sign(SUB, address(settlement), hash(f));
        submit(address(settlement), abi.encodeCall(settlement.signCascade, (f, s)));
        cascade(mid, leaf, 2_000_00);
        payFreight(mid, 500_00); // less than the first lets flow
        assertEq(balanceOf(DRIVER), 500_00);
        assertEq(balanceOf(SUB), 0);
        assertEq(settlement.cascadeLeft(mid, 0), 500_00);
        payFreight(mid, 600_00);
        assertEq(settlement.cascadeLeft(mid, 0), 0);
        assertEq(settlement.cascadeLeft(mid, 1), 1_900_00);
        assertEq(balanceOf(DRIVER), 1_100_00);
        assertTrue(settlement.cascadesOf(mid)[1] == leaf);
        assertEq(settlement.cascadesOf(root).length, 0);
        assertEq(settlement.cascadeLeft(mid, 2), 0, "nothing was signed there");
    }

    function test_a_loan_not_released_takes_nothing_of_the_freight() public {
        root = issue(rootForm());
        mid = issue(midForm(root));
        line = openLine(lineForm());
        fund(LENDER, 50_000_00);
        AdvanceId[2] memory ids;
        TripId[2] memory trips = [TripId.wrap("1"), TripId.wrap("2")];
        for (uint256 i = 0; i < 2; i++) {
            Waybill memory w = leafForm(mid);
            (w.freight, w.quantity) = (LEAF_FREIGHT / 2, QUANTITY / 2);
            (w.trip, w.vehicle) = (trips[i], TripId.unwrap(trips[i]));
            leaf = issue(w);
            AdvanceRequest memory f = requestForm();
            (f.trip, f.fingerprint) = (w.trip, TripId.unwrap(w.trip));
            (f.principal, f.payees[0].amount) = (3_000_00, 3_000_00);
            ids[i] = approved(f);
        }
        // The second truck arrives first: its loan is paid, the first one's advance waits.
        deliver(trips[1], QUANTITY / 2);
        payFreight(mid, 4_000_00);
        assertState(ids[0], AdvanceState.Approved);
        assertState(ids[1], AdvanceState.Repaid);
        assertEq(balanceOf(SUB), 1_000_00);
        assertEq(facility.reserved(line), 3_000_00);
        assertTrue(waybills.get(mid).pledgee == LENDER, "the other advance keeps the pledge");
        assertEq(advances.advancesOn(mid).length, 1);
        assertTrue(advances.advancesOn(mid)[0] == ids[0]);
    }

    function test_freight_paid_early_is_taken_as_far_as_it_is_earned() public {
        root = issue(rootForm());
        mid = issue(midForm(root));
        Waybill memory w = leafForm(mid);
        (w.freight, w.quantity) = (LEAF_FREIGHT / 2, QUANTITY / 2);
        leaf = issue(w);
        mint(settlement.collectionAccount(mid), MID_FREIGHT);
        deliver(TRIP, QUANTITY / 2);
        settlement.settle(mid);
        assertEq(balanceOf(SUB), MID_FREIGHT / 2);
        assertEq(balanceOf(CARRIER), 0, "the other half may still be earned");
        refused(abi.encodeWithSelector(IFreightSettlement.SettlementNothingToSettle.selector, mid));
        submit(address(settlement), abi.encodeCall(settlement.settle, (mid)));
    }
}
