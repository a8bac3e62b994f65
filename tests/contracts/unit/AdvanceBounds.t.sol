// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {AdvanceRecord, IFreightAdvance} from "contracts/interfaces/IFreightAdvance.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";

/// @title Advances at their bounds: the last fen, the last second, the last payee
contract AdvanceBoundsTest is Base {
    function setUp() public override {
        super.setUp();
        issueChain();
        line = openLine(lineForm());
        fund(LENDER, 50_000_00);
    }

    function _refusedField(bytes32 field) internal {
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceFieldInvalid.selector, field));
    }

    function _gatedLine() internal {
        CreditLine memory l = lineForm();
        l.gated = true;
        line = openLine(l);
    }

    /// @dev One of the trucks of a split load on `mid`.
    function _truck(bytes32 name, uint64 quantity, uint128 principal)
        internal
        returns (AdvanceRequest memory f)
    {
        Waybill memory w = leafForm(mid);
        (w.freight, w.quantity) = (2_500_00, quantity);
        (w.trip, w.vehicle) = (TripId.wrap(name), name);
        leaf = issue(w);
        f = requestForm();
        (f.trip, f.fingerprint, f.principal) = (w.trip, name, principal);
        f.payees[0].amount = principal;
    }

    // -- request and approval ---------------------------------------------------------------------

    function test_all_that_a_receivable_bears_is_advanced_to_the_last_fen() public {
        CreditLine memory l = lineForm();
        l.borrower = CARRIER;
        line = openLine(l);
        AdvanceRequest memory f = requestForm();
        (f.waybill, f.principal, f.expires) = (root, 9_000_00, uint64(block.timestamp));
        f.payees = new Payee[](2);
        f.payees[0] = Payee(DRIVER, leaf, DRIVER_ACCOUNT, LEAF_FREIGHT); // all his freight
        f.payees[1] = Payee(SUB, mid, "sub", 1_000_00);
        AdvanceId id = request(f);
        acknowledge(acknowledgementOf(id));
        consent(consentOf(id, 0));
        refused(abi.encodeWithSelector(IFreightAdvance.AdvancePayeeNotConsented.selector, id, SUB));
        approve(approvalOf(id));
        consent(consentOf(id, 1));
        approve(approvalOf(id));
        deliver(TRIP, QUANTITY);
        assertEq(balanceOf(DRIVER), LEAF_FREIGHT);
        assertEq(balanceOf(SUB), 1_000_00);
        assertState(leaf, WaybillState.Paid);
        AdvanceRecord memory r = advances.get(id);
        assertEq(r.released, 9_000_00);
        assertEq(r.outstanding, 9_000_00);
    }

    /// @dev An advance of 3,600 on nine tiers: a tier's performer is the party 1000 + tier and is asked for tier x 100.
    function _eightPayees() internal returns (AdvanceId id) {
        PartyId above = CARRIER;
        WaybillId at = root = issue(rootForm());
        Payee[] memory payees = new Payee[](8);
        for (uint64 i = 1; i <= 8; i++) {
            PartyId next = PartyId.wrap(1000 + i);
            enrol(next);
            Waybill memory w = i == 8 ? leafForm(at) : midForm(at);
            (w.issuer, w.performer) = (above, next);
            w.freight = ROOT_FREIGHT - i * 100_00;
            if (i == 8) (w.trip, w.vehicle) = (TripId.wrap("deep"), "deep");
            at = issue(w);
            payees[8 - i] = Payee(next, at, bytes32(uint256(i)), i * 100_00);
            above = next;
        }
        CreditLine memory l = lineForm();
        l.borrower = CARRIER;
        line = openLine(l);
        AdvanceRequest memory f = requestForm();
        (f.waybill, f.trip, f.payees) = (root, TripId.wrap("deep"), payees);
        f.principal = 36 * 100_00;
        return approved(f);
    }

    function _assertAllPaid(AdvanceId id) internal view {
        assertState(id, AdvanceState.Released);
        for (uint64 i = 1; i <= 8; i++) {
            assertEq(balanceOf(PartyId.wrap(1000 + i)), i * 100_00);
            (uint128 granted, bool consented, bool paid) = advances.grantOf(id, 8 - i);
            assertEq(granted, i * 100_00);
            assertTrue(consented && paid);
        }
    }

    function test_eight_payees_on_nine_tiers_are_all_paid() public {
        AdvanceId id = _eightPayees();
        deliver(TripId.wrap("deep"), QUANTITY);
        _assertAllPaid(id);
    }

    /// @dev The most a release can have to do, with nothing warm: else a payee would fail for want of gas alone.
    function test_the_greatest_release_fits_into_the_gas_of_a_listener() public {
        AdvanceId id = _eightPayees();
        TripId trip = TripId.wrap("deep");
        bytes32 list = _slotOfAdvancesOn(root);
        for (uint256 i = 1; i < 32; i++) {
            vm.store(address(advances), keccak256(abi.encode(i, list)), bytes32(i));
        }
        assertEq(advances.advancesOn(root).length, 32);
        vm.mockCallRevert(
            address(advances), abi.encodeWithSelector(advances.onDelivered.selector), "down"
        );
        deliver(trip, QUANTITY);
        vm.clearMockedCalls();
        assertState(id, AdvanceState.Approved);
        uint256 gas_ = deliveries.LISTENER_GAS();
        bytes memory data = abi.encodeCall(
            advances.onDelivered, (trip, QUANTITY, QUANTITY, uint64(block.timestamp))
        );
        address[6] memory all = [
            address(parties),
            address(waybills),
            address(deliveries),
            address(token),
            address(facility),
            address(advances)
        ];
        for (uint256 i = 0; i < all.length; i++) {
            (bool cooled,) = address(vm).call(abi.encodeWithSignature("cool(address)", all[i]));
            assertTrue(cooled);
        }
        vm.prank(address(deliveries));
        uint256 before = gasleft();
        (bool done,) = address(advances).call{gas: gas_}(data);
        assertLt(before - gasleft(), gas_ * 9 / 10, "with a tenth to spare");
        assertTrue(done);
        _assertAllPaid(id);
    }

    /// @dev The storage slot of the advances on a waybill that has one, found by looking.
    function _slotOfAdvancesOn(WaybillId waybill) internal view returns (bytes32) {
        bytes32 only = AdvanceId.unwrap(advances.advancesOn(waybill)[0]);
        for (uint256 i = 0; i < 20; i++) {
            bytes32 list = keccak256(abi.encode(waybill, i));
            bytes32 first = keccak256(abi.encode(uint256(0), list));
            if (vm.load(address(advances), first) == only) return list;
        }
        revert("not found");
    }

    function test_an_approval_is_taken_in_its_last_second_and_for_no_year_without_end() public {
        AdvanceId id = request(requestForm());
        agree(id);
        Approval memory f = approvalOf(id);
        f.approvedUntil = 2 ** 48;
        _refusedField("approvedUntil");
        approve(f);
        f = approvalOf(id);
        f.expires = uint64(block.timestamp) - 1;
        refused(
            abi.encodeWithSelector(
                IFreightAdvance.AdvanceFormExpired.selector, f.expires, block.timestamp
            )
        );
        approve(f);
        uint256 before = vm.snapshotState();
        f.expires = uint64(block.timestamp);
        f.approvedUntil = uint64(block.timestamp);
        approve(f);
        assertEq(advances.get(id).approvedUntil, block.timestamp);
        vm.revertToState(before);
        f.approvedUntil = 2 ** 48 - 1;
        approve(f);
        assertEq(advances.get(id).approvedUntil, 2 ** 48 - 1);
    }

    function test_a_request_takes_no_trip_or_receivable_that_is_taken() public {
        AdvanceId id = approved(requestForm());
        AdvanceRequest memory f = requestForm();
        f.fingerprint = "another";
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceTripTaken.selector, TRIP));
        request(f);
        Payee[] memory kept = advances.payeesOf(id);
        assertEq(kept.length, 1);
        assertTrue(kept[0].party == DRIVER && kept[0].waybill == leaf);
        AdvanceRecord memory r = advances.get(id);
        assertEq(LineId.unwrap(r.line), LineId.unwrap(line));
        assertTrue(r.waybill == mid && r.trip == TRIP);
        assertEq(r.fingerprint, keccak256("fingerprint"));
        assertEq(r.released, 0);
        (uint128 granted,,) = advances.grantOf(id, 0);
        assertEq(granted, 0, "nothing is granted before the release");
        vm.expectRevert(
            abi.encodeWithSelector(IFreightAdvance.AdvancePayeeInvalid.selector, 1, NOBODY)
        );
        advances.grantOf(id, 1);
        assertTrue(advances.advanceOf(TripId.wrap("nowhere")) == NO_ADVANCE);
        assertEq(advances.get(AdvanceId.wrap("nowhere")).principal, 0);
        assertEq(advances.payeesOf(AdvanceId.wrap("nowhere")).length, 0);
    }

    function test_an_approval_waits_for_no_held_trip() public {
        AdvanceId id = request(requestForm());
        agree(id);
        load(loadingOf(TRIP));
        uint256 before = vm.snapshotState();
        approve(approvalOf(id)); // on the road already
        assertState(id, AdvanceState.Approved);
        vm.revertToState(before);
        dispute(disputeOf(TRIP, DRIVER));
        _refusedField("trip");
        approve(approvalOf(id));
    }

    function test_words_come_in_time() public {
        AdvanceId id = request(requestForm());
        bytes memory late = abi.encodeWithSelector(
            IFreightAdvance.AdvanceFormExpired.selector,
            uint64(block.timestamp) - 1,
            block.timestamp
        );
        Acknowledgement memory a = acknowledgementOf(id);
        a.expires = uint64(block.timestamp) - 1;
        refused(late);
        acknowledge(a);
        PayeeConsent memory c = consentOf(id, 0);
        c.expires = uint64(block.timestamp) - 1;
        refused(late);
        consent(c);
        c = consentOf(id, 0);
        bytes memory s = sign(SUB, address(advances), hash(c));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(advances), abi.encodeCall(advances.consent, (c, s)));
        act(id, 4, 0);
        refused(
            abi.encodeWithSelector(
                IFreightAdvance.AdvanceUnexpectedState.selector,
                id,
                AdvanceState.Declined,
                AdvanceState.Requested
            )
        );
        consent(consentOf(id, 0));
    }

    // -- release ----------------------------------------------------------------------------------

    function test_a_delivery_in_the_last_second_of_the_approval_releases() public {
        AdvanceId id = approved(requestForm());
        load(loadingOf(TRIP));
        drive(TRIP);
        vm.warp(advances.get(id).approvedUntil);
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceNotExpired.selector, id));
        submit(address(advances), abi.encodeCall(advances.expire, (id)));
        confirm(confirmationOf(TRIP));
        assertState(id, AdvanceState.Released);
    }

    function test_a_shortage_of_exactly_the_tolerance_releases() public {
        AdvanceId id = approved(requestForm());
        deliver(TRIP, QUANTITY * 99 / 100);
        assertState(id, AdvanceState.Released);
        assertEq(balanceOf(DRIVER), uint256(PRINCIPAL) * 99 / 100);
    }

    function test_one_unit_more_than_the_tolerance_waits() public {
        AdvanceId id = approved(requestForm());
        deliver(TRIP, QUANTITY * 99 / 100 - 1);
        assertState(id, AdvanceState.Releasable);
    }

    function test_retry_has_nothing_to_do_before_a_delivery() public {
        AdvanceId id = approved(requestForm());
        refused(
            abi.encodeWithSelector(
                IFreightAdvance.AdvanceUnexpectedState.selector,
                id,
                AdvanceState.Approved,
                AdvanceState.Releasable
            )
        );
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
        refused(
            abi.encodeWithSelector(
                IFreightAdvance.AdvanceUnknown.selector, AdvanceId.wrap("nowhere")
            )
        );
        submit(address(advances), abi.encodeCall(advances.retry, (AdvanceId.wrap("nowhere"))));
    }

    function test_retry_after_a_failed_listener_judges_as_the_listener_would() public {
        AdvanceId id = approved(requestForm());
        vm.mockCallRevert(
            address(advances), abi.encodeWithSelector(advances.onDelivered.selector), "down"
        );
        deliver(TRIP, QUANTITY / 2);
        vm.clearMockedCalls();
        assertState(id, AdvanceState.Approved);
        uint256 before = vm.snapshotState();
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
        assertState(id, AdvanceState.Releasable); // short
        vm.revertToState(before);
        dispute(disputeOf(TRIP, CONSIGNEE));
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceReleasable(id, "dispute");
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
    }

    function test_an_open_gate_again_says_nothing_while_a_dispute_holds() public {
        _gatedLine();
        AdvanceId id = approved(requestForm());
        deliver(TRIP, QUANTITY);
        dispute(disputeOf(TRIP, CONSIGNEE));
        Gate memory f = Gate(id, true, "law", soon(), salt());
        bytes memory s = sign(LENDER, address(advances), hash(f));
        submit(address(advances), abi.encodeCall(advances.gate, (f, s)));
        vm.recordLogs();
        submit(address(advances), abi.encodeCall(advances.gate, (f, s)));
        assertEq(vm.getRecordedLogs().length, 0);
        assertState(id, AdvanceState.Releasable);
        resolveByArbiter(TRIP, 1);
        submit(address(advances), abi.encodeCall(advances.gate, (f, s)));
        assertState(id, AdvanceState.Released);
    }

    function test_a_payee_who_was_paid_meanwhile_is_granted_the_rest_only() public {
        _gatedLine();
        AdvanceId id = approved(requestForm());
        deliver(TRIP, QUANTITY);
        payFreight(leaf, LEAF_FREIGHT - 1_500_00); // the borrower paid his driver himself
        gate(id, true);
        assertState(id, AdvanceState.Released);
        assertEq(advances.get(id).released, 1_500_00);
        assertEq(facility.drawn(line), 1_500_00);
        assertEq(facility.reserved(line), 0);
        (uint128 granted,,) = advances.grantOf(id, 0);
        assertEq(granted, 1_500_00);
    }

    function test_a_payee_who_was_paid_all_leaves_nothing_to_release() public {
        _gatedLine();
        AdvanceId id = approved(requestForm());
        deliver(TRIP, QUANTITY);
        payFreight(leaf, LEAF_FREIGHT);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceVoided(id, "nothing");
        gate(id, true);
        assertEq(facility.cash(LENDER), 50_000_00);
    }

    function test_what_one_loan_secures_is_not_lent_on_a_second_time() public {
        root = issue(rootForm());
        mid = issue(midForm(root));
        _gatedLine();
        AdvanceId one = approved(_truck("1", QUANTITY / 2, 2_000_00));
        AdvanceId two = approved(_truck("2", QUANTITY / 2, 2_000_00));
        deliver(TripId.wrap("1"), QUANTITY / 2);
        deliver(TripId.wrap("2"), QUANTITY / 2);
        credit(creditNote(mid, MID_FREIGHT - 3_000_00)); // the debtor owes 3,000 in all
        gate(one, true);
        assertEq(advances.get(one).released, 2_000_00);
        gate(two, true);
        assertEq(advances.get(two).released, 1_000_00);
        assertEq(facility.reserved(line), 0);
    }

    function test_what_is_granted_and_not_yet_paid_is_secured_as_well() public {
        root = issue(rootForm());
        mid = issue(midForm(root));
        _gatedLine();
        AdvanceId one = approved(_truck("1", QUANTITY / 2, 2_000_00));
        WaybillId first = leaf;
        AdvanceId two = approved(_truck("2", QUANTITY / 2, 2_000_00));
        deliver(TripId.wrap("1"), QUANTITY / 2);
        deliver(TripId.wrap("2"), QUANTITY / 2);
        credit(creditNote(mid, MID_FREIGHT - 3_000_00));
        vm.mockCallRevert(
            address(waybills), abi.encodeCall(waybills.recordPaid, (first, 2_000_00)), "down"
        );
        gate(one, true); // its payee fails and stays claimable
        gate(two, true);
        assertEq(advances.get(two).released, 1_000_00);
        vm.clearMockedCalls();
        submit(address(advances), abi.encodeCall(advances.retry, (one)));
        assertEq(advances.get(one).outstanding, 2_000_00);
    }

    // -- the list of a waybill --------------------------------------------------------------------

    function test_the_list_of_a_waybill_stays_in_order_when_one_in_the_middle_ends() public {
        root = issue(rootForm());
        mid = issue(midForm(root));
        AdvanceId[3] memory ids;
        for (uint256 i = 0; i < 3; i++) {
            ids[i] = approved(_truck(bytes32(i + 1), QUANTITY / 3, 1_000_00));
        }
        vm.warp(block.timestamp + 5 days + 1);
        submit(address(advances), abi.encodeCall(advances.expire, (ids[1])));
        AdvanceId[] memory left = advances.advancesOn(mid);
        assertEq(left.length, 2);
        assertTrue(left[0] == ids[0] && left[1] == ids[2]);
        assertTrue(waybills.get(mid).pledgee == LENDER);
        submit(address(advances), abi.encodeCall(advances.expire, (ids[2])));
        submit(address(advances), abi.encodeCall(advances.expire, (ids[0])));
        assertEq(advances.advancesOn(mid).length, 0);
        assertTrue(waybills.get(mid).pledgee == NOBODY, "free with the last");
    }

    // -- repayment --------------------------------------------------------------------------------

    function test_what_the_ceiling_kept_is_told_when_the_loan_closes() public {
        AdvanceId id = approved(requestForm());
        deliver(TRIP, QUANTITY);
        mint(accountOf(SUB), PRINCIPAL);
        // On the day of release the fee meets the ceiling of no days.
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceRepaid(id, 0, 0, 0, PRINCIPAL - 1, 0, 1);
        repay(id, PRINCIPAL - 1);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceRepaid(id, 0, 0, 0, 1, 6_40, 0);
        repay(id, 1);
        assertState(id, AdvanceState.Repaid);
    }

    function test_a_loan_with_a_payee_unpaid_stays_open_when_the_rest_is_back() public {
        CreditLine memory l = lineForm();
        l.borrower = CARRIER;
        line = openLine(l);
        AdvanceRequest memory f = requestForm();
        (f.waybill, f.principal) = (root, 3_000_00);
        f.payees = new Payee[](2);
        f.payees[0] = Payee(DRIVER, leaf, DRIVER_ACCOUNT, 2_000_00);
        f.payees[1] = Payee(SUB, mid, "sub", 1_000_00);
        AdvanceId id = approved(f);
        vm.mockCallRevert(
            address(waybills), abi.encodeCall(waybills.recordPaid, (leaf, 2_000_00)), "down"
        );
        deliver(TRIP, QUANTITY);
        vm.clearMockedCalls();
        mint(accountOf(CARRIER), 1_000_00);
        repay(id, 1_000_00);
        assertState(id, AdvanceState.Released);
        assertEq(advances.get(id).outstanding, 0);
        assertEq(advances.get(id).released, 3_000_00);
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
        assertEq(balanceOf(DRIVER), 2_000_00);
        assertEq(advances.get(id).outstanding, 2_000_00);
        mint(accountOf(CARRIER), 2_000_00);
        repay(id, 2_000_00);
        assertState(id, AdvanceState.Repaid);
    }

    function test_a_loan_in_default_is_repaid_as_any_other() public {
        AdvanceId id = approved(requestForm());
        deliver(TRIP, QUANTITY);
        vm.warp(block.timestamp + 49 days);
        act(id, 1, 0);
        payFreight(mid, MID_FREIGHT);
        assertState(id, AdvanceState.Repaid);
        assertEq(facility.drawn(line), 0);
        refused(
            abi.encodeWithSelector(
                IFreightAdvance.AdvanceUnexpectedState.selector,
                id,
                AdvanceState.Repaid,
                AdvanceState.Released
            )
        );
        act(id, 5, 1);
    }

    function test_only_an_advance_that_is_out_has_a_start_of_interest_or_a_default() public {
        AdvanceId id = approved(requestForm());
        bytes memory error_ = abi.encodeWithSelector(
            IFreightAdvance.AdvanceUnexpectedState.selector,
            id,
            AdvanceState.Approved,
            AdvanceState.Released
        );
        refused(error_);
        act(id, 1, 0);
        refused(error_);
        act(id, 3, 1);
        LenderAct memory f = LenderAct(id, 1, 0, "", uint64(block.timestamp) - 1, salt());
        bytes memory s = sign(LENDER, address(advances), hash(f));
        refused(IFreightAdvance.AdvanceFormExpired.selector);
        submit(address(advances), abi.encodeCall(advances.act, (f, s)));
        Gate memory g = Gate(id, true, 0, soon(), salt());
        s = sign(LENDER, address(advances), hash(g));
        refused(IFreightAdvance.AdvanceUnexpectedState.selector);
        submit(address(advances), abi.encodeCall(advances.gate, (g, s)));
    }
}
