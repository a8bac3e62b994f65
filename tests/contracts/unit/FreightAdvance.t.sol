// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {AdvanceTerms} from "contracts/libraries/AdvanceTerms.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ICreditFacility} from "contracts/interfaces/ICreditFacility.sol";
import {AdvanceRecord, Due, IFreightAdvance} from "contracts/interfaces/IFreightAdvance.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";
import {ISettlementToken} from "contracts/interfaces/ISettlementToken.sol";

contract FreightAdvanceTest is Base {
    function setUp() public override {
        super.setUp();
        issueChain();
        line = openLine(lineForm());
        fund(LENDER, 50_000_00);
    }

    function _refusedField(bytes32 field) internal {
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceFieldInvalid.selector, field));
    }

    function _refusedState(AdvanceId id, AdvanceState current, AdvanceState wanted) internal {
        refused(
            abi.encodeWithSelector(
                IFreightAdvance.AdvanceUnexpectedState.selector, id, current, wanted
            )
        );
    }

    function _released() internal returns (AdvanceId id) {
        id = approved(requestForm());
        deliver(TRIP, QUANTITY);
        assertState(id, AdvanceState.Released);
    }

    // -- request ----------------------------------------------------------------------------------

    function test_request_records_what_the_borrower_signed() public {
        AdvanceRequest memory f = requestForm();
        AdvanceId id = request(f);
        AdvanceRecord memory r = advances.get(id);
        assertTrue(r.borrower == SUB && r.lender == LENDER);
        assertEq(r.principal, PRINCIPAL);
        assertEq(abi.encode(advances.payeesOf(id)), abi.encode(f.payees));
        assertState(id, AdvanceState.Requested);
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceAlreadyRequested.selector, id));
        request(f);
    }

    function test_request_refuses_each_field_that_cannot_be() public {
        AdvanceRequest memory f = requestForm();
        f.principal = 0;
        _refusedField("principal");
        request(f);
        f = requestForm();
        f.fingerprint = 0;
        _refusedField("fingerprint");
        request(f);
        f = requestForm();
        f.trip = TripId.wrap("nowhere");
        _refusedField("trip");
        request(f);
        f = requestForm();
        f.payees = new Payee[](0);
        _refusedField("payees");
        request(f);
        f = requestForm();
        f.payees = new Payee[](9);
        _refusedField("payees");
        request(f);
        f = requestForm();
        f.expires = START - 1;
        refused(
            abi.encodeWithSelector(
                IFreightAdvance.AdvanceFormExpired.selector, START - 1, block.timestamp
            )
        );
        request(f);
        f = requestForm();
        bytes memory s = sign(DRIVER, address(advances), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(advances), abi.encodeCall(advances.request, (f, s)));
        f.line = LineId.wrap("nowhere");
        refused(ICreditFacility.LineUnknown.selector);
        submit(address(advances), abi.encodeCall(advances.request, (f, s)));
    }

    function test_request_is_the_performers_against_a_debtor_who_signed() public {
        AdvanceRequest memory f = requestForm();
        f.waybill = root;
        refused(
            abi.encodeWithSelector(IFreightAdvance.AdvanceBorrowerDiffers.selector, SUB, CARRIER)
        );
        request(f);

        CreditLine memory l = lineForm();
        l.borrower = CARRIER;
        line = openLine(l);
        // The consignor never signed this root.
        Waybill memory w = rootForm();
        bytes memory b = sign(CARRIER, address(waybills), hash(w));
        submit(address(waybills), abi.encodeCall(waybills.issue, (w, "", b)));
        f = requestForm();
        f.waybill = waybills.hashWaybill(w);
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceWaybillNotSigned.selector, f.waybill));
        request(f);

        l = lineForm();
        l.lender = CARRIER; // the debtor himself
        line = openLine(l);
        f = requestForm();
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceDebtorUnfit.selector, mid, CARRIER));
        request(f);
    }

    function test_request_is_bounded_by_the_trips_share_of_the_receivable() public {
        AdvanceRequest memory f = requestForm();
        uint128 most = MID_FREIGHT * 9 / 10;
        f.principal = most + 1;
        refused(
            abi.encodeWithSelector(
                IFreightAdvance.AdvanceExceedsReceivable.selector, most, most + 1
            )
        );
        request(f);
    }

    function test_request_puts_the_driver_first_and_pays_nobody_else() public {
        AdvanceRequest memory f = requestForm();
        f.payees[0].waybill = mid;
        refused(
            abi.encodeWithSelector(IFreightAdvance.AdvanceDriverNotFirst.selector, TRIP, DRIVER)
        );
        request(f);
        f = requestForm();
        f.payees[0].party = SUB; // the borrower himself
        refused(abi.encodeWithSelector(IFreightAdvance.AdvancePayeeInvalid.selector, 0, SUB));
        request(f);
        f = requestForm();
        f.payees[0].account = 0;
        refused(IFreightAdvance.AdvancePayeeInvalid.selector);
        request(f);
        f = requestForm();
        (f.principal, f.payees[0].amount) = (LEAF_FREIGHT + 1, LEAF_FREIGHT + 1);
        refused(IFreightAdvance.AdvancePayeeInvalid.selector);
        request(f);
        f = requestForm();
        f.payees[0].amount--;
        refused(
            abi.encodeWithSelector(
                IFreightAdvance.AdvancePayeesSum.selector, PRINCIPAL - 1, PRINCIPAL
            )
        );
        request(f);
        f = requestForm();
        f.payees = new Payee[](2);
        f.payees[0] = Payee(DRIVER, leaf, DRIVER_ACCOUNT, PRINCIPAL / 2);
        f.payees[1] = Payee(DRIVER, leaf, DRIVER_ACCOUNT, PRINCIPAL / 2);
        refused(abi.encodeWithSelector(IFreightAdvance.AdvancePayeeInvalid.selector, 1, DRIVER));
        request(f);
        f.payees[1] = Payee(SUB, mid, "sub", PRINCIPAL / 2); // the borrower's own waybill
        refused(IFreightAdvance.AdvancePayeeInvalid.selector);
        request(f);
    }

    // -- acknowledge and consent ------------------------------------------------------------------

    function test_acknowledge_is_the_debtors_word_on_exactly_this_debt() public {
        AdvanceId id = request(requestForm());
        Acknowledgement memory f = acknowledgementOf(id);
        f.debtor = CONSIGNOR;
        refused(IFreightAdvance.AdvanceDebtorUnfit.selector);
        acknowledge(f);
        f = acknowledgementOf(id);
        f.waybill = root;
        _refusedField("waybill");
        acknowledge(f);
        f = acknowledgementOf(id);
        f.trip = TripId.wrap("2");
        _refusedField("trip");
        acknowledge(f);
        f = acknowledgementOf(id);
        f.lender = LENDER2;
        refused(
            abi.encodeWithSelector(IFreightAdvance.AdvanceLenderDiffers.selector, LENDER, LENDER2)
        );
        acknowledge(f);
        f = acknowledgementOf(id);
        bytes memory s = sign(SUB, address(advances), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(advances), abi.encodeCall(advances.acknowledge, (f, s)));
        acknowledge(f);
        vm.recordLogs();
        acknowledge(f); // again: nothing happens
        assertEq(vm.getRecordedLogs().length, 0);
        f.advance = AdvanceId.wrap("nowhere");
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceUnknown.selector, f.advance));
        acknowledge(f);
    }

    function test_consent_is_the_payees_to_his_own_account() public {
        AdvanceId id = request(requestForm());
        PayeeConsent memory f = consentOf(id, 0);
        f.account = "other";
        refused(abi.encodeWithSelector(IFreightAdvance.AdvancePayeeInvalid.selector, 0, DRIVER));
        consent(f);
        f = consentOf(id, 0);
        f.party = SUB;
        refused(abi.encodeWithSelector(IFreightAdvance.AdvancePayeeInvalid.selector, 1, SUB));
        consent(f);
        f = consentOf(id, 0);
        consent(f);
        vm.recordLogs();
        consent(f); // again: nothing happens
        assertEq(vm.getRecordedLogs().length, 0);
        (, bool consented,) = advances.grantOf(id, 0);
        assertTrue(consented);
    }

    // -- approve ----------------------------------------------------------------------------------

    function test_approve_locks_pledges_and_listens() public {
        AdvanceRequest memory f = requestForm();
        AdvanceId id = approved(f);
        assertEq(facility.reserved(line), PRINCIPAL);
        assertTrue(advances.isPledged(f.fingerprint));
        assertTrue(advances.advanceOf(TRIP) == id);
        assertTrue(advances.advancesOn(mid)[0] == id);
        assertTrue(waybills.get(mid).pledgee == LENDER);
        assertEq(deliveries.watchOf(TRIP).listener, address(advances));
        assertTrue(deliveries.watchOf(TRIP).standIn == CARRIER);
        Approval memory again = approvalOf(id);
        _refusedState(id, AdvanceState.Approved, AdvanceState.Requested);
        approve(again);
    }

    function test_approve_needs_everybodys_word() public {
        AdvanceId id = request(requestForm());
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceNotAcknowledged.selector, id));
        approve(approvalOf(id));
        acknowledge(acknowledgementOf(id));
        refused(
            abi.encodeWithSelector(IFreightAdvance.AdvancePayeeNotConsented.selector, id, DRIVER)
        );
        approve(approvalOf(id));
        consent(consentOf(id, 0));
        Approval memory f = approvalOf(id);
        f.principal++;
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceApprovalDiffers.selector, id));
        approve(f);
        f = approvalOf(id);
        f.borrower = CARRIER;
        refused(IFreightAdvance.AdvanceApprovalDiffers.selector);
        approve(f);
        f = approvalOf(id);
        f.approvedUntil = uint64(block.timestamp) - 1;
        refused(
            abi.encodeWithSelector(
                IFreightAdvance.AdvanceApprovalEnded.selector, id, f.approvedUntil
            )
        );
        approve(f);
        f = approvalOf(id);
        bytes memory s = sign(LENDER2, address(advances), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(advances), abi.encodeCall(advances.approve, (f, s)));
        approve(f);
    }

    function test_approve_pledges_a_receivable_once_across_all_lenders() public {
        CreditLine memory l = lineForm();
        l.lender = LENDER2;
        LineId other = openLine(l);
        fund(LENDER2, 50_000_00);
        AdvanceRequest memory f = requestForm();
        AdvanceId first = request(f);
        f = requestForm();
        f.line = other;
        AdvanceId second = request(f);
        f = requestForm();
        f.line = other;
        f.fingerprint = "another fingerprint";
        AdvanceId third = request(f);
        agree(first);
        agree(second);
        agree(third);
        approve(approvalOf(first));
        refused(
            abi.encodeWithSelector(
                IFreightAdvance.AdvanceReceivablePledged.selector, keccak256("fingerprint")
            )
        );
        approve(approvalOf(second));
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceTripTaken.selector, TRIP));
        approve(approvalOf(third));
        refused(IFreightAdvance.AdvanceReceivablePledged.selector);
        request(requestForm());
    }

    function test_approve_refuses_what_changed_since_the_request() public {
        AdvanceId id = request(requestForm());
        agree(id);
        Amendment memory f = amendmentOf(leaf);
        f.plan = "an easier road";
        amend(f);
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceAmended.selector, id));
        approve(approvalOf(id));
    }

    function test_approve_refuses_a_receivable_credited_away() public {
        AdvanceId id = request(requestForm());
        agree(id);
        credit(creditNote(mid, MID_FREIGHT - 1_000_00));
        refused(
            abi.encodeWithSelector(
                IFreightAdvance.AdvanceExceedsReceivable.selector, 900_00, PRINCIPAL
            )
        );
        approve(approvalOf(id));
    }

    function test_approve_refuses_a_trip_delivered_already() public {
        AdvanceId id = request(requestForm());
        agree(id);
        deliver(TRIP, QUANTITY);
        _refusedField("trip");
        approve(approvalOf(id));
    }

    /// @dev Whoever submits chooses the gas: where it does not suffice to keep the terms, the request is refused as a whole.
    function test_request_with_too_little_gas_for_its_terms_leaves_nothing() public {
        AdvanceRequest memory f = requestForm();
        bytes memory data =
            abi.encodeCall(advances.request, (f, sign(SUB, address(advances), hash(f))));
        bool met;
        for (uint256 gas_ = 40_000; gas_ < 250_000 && !met; gas_ += 500) {
            (bool done, bytes memory why) = address(advances).call{gas: gas_}(data);
            assertFalse(done && !met, "accepted before it was refused for that");
            met = bytes4(why) == AdvanceTerms.AdvanceTermsNotStored.selector;
        }
        assertTrue(met, "never refused for that");
        assertState(AdvanceId.wrap(hash(f)), AdvanceState.None);
    }

    function test_approve_bounds_the_advances_on_one_waybill() public {
        AdvanceId id = request(requestForm());
        agree(id);
        bytes32 list = _slotOfAdvancesOn();
        for (uint256 i = 0; i < 32; i++) {
            vm.store(address(advances), keccak256(abi.encode(i, list)), bytes32(i + 1));
        }
        assertEq(advances.advancesOn(mid).length, 32);
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceTooMany.selector, mid, 32));
        approve(approvalOf(id));
    }

    /// @dev The storage slot of the advances on mid, found by trying.
    function _slotOfAdvancesOn() internal returns (bytes32) {
        for (uint256 i = 0; i < 20; i++) {
            bytes32 list = keccak256(abi.encode(mid, i));
            bytes32 first = keccak256(abi.encode(uint256(0), list));
            vm.store(address(advances), first, bytes32(uint256(1)));
            if (advances.advancesOn(mid).length == 1) return list;
            vm.store(address(advances), first, 0);
        }
        revert("not found");
    }

    function test_approve_needs_room_cash_and_an_open_line() public {
        AdvanceId id = request(requestForm());
        agree(id);
        LineChange memory f = LineChange({
            line: line,
            limit: PRINCIPAL - 1,
            frozen: false,
            validUntil: START + 1 days,
            expires: soon(),
            salt: salt()
        });
        changeLine(f);
        refused(ICreditFacility.LineHeadroomExceeded.selector);
        approve(approvalOf(id));
        (f.limit, f.frozen, f.salt) = (PRINCIPAL, true, salt());
        changeLine(f);
        refused(ICreditFacility.LineFrozen.selector);
        approve(approvalOf(id));
        (f.frozen, f.salt) = (false, salt());
        changeLine(f);
        moveVault(LENDER, false, facility.cash(LENDER) - PRINCIPAL + 1);
        refused(ICreditFacility.VaultCashTooLow.selector);
        approve(approvalOf(id));
    }

    // -- release ----------------------------------------------------------------------------------

    function test_release_pays_the_driver_and_marks_his_waybill() public {
        AdvanceId id = _released();
        assertEq(balanceOf(DRIVER), PRINCIPAL);
        assertEq(token.freeBalance(DRIVER), 0, "queued for his frozen account");
        assertEq(token.payoutOf(keccak256(abi.encode(id, uint256(0)))).account, DRIVER_ACCOUNT);
        assertEq(waybills.get(leaf).paid, PRINCIPAL);
        assertEq(advances.get(id).outstanding, PRINCIPAL);
        assertEq(advances.get(id).dueDay, advances.today() + 45);
        assertEq(facility.reserved(line), 0);
    }

    function test_a_change_of_key_changes_no_payee() public {
        AdvanceId id = approved(requestForm());
        (address thief, uint256 thiefKey) = makeAddrAndKey("thief");
        KeyRotation memory f =
            KeyRotation({party: DRIVER, newKey: thief, expires: soon(), salt: salt()});
        bytes32 h = hash(f);
        Loading memory l = loadingOf(TRIP);
        bytes memory s = sign(DRIVER, address(deliveries), hash(l));
        submit(address(deliveries), abi.encodeCall(deliveries.load, (l, s)));
        parties.rotateKey(
            f, sign(DRIVER, address(parties), h), signWith(thiefKey, address(parties), h)
        );
        drive(TRIP);
        confirm(confirmationOf(TRIP));
        assertEq(token.payoutOf(keccak256(abi.encode(id, uint256(0)))).account, DRIVER_ACCOUNT);
        assertEq(balanceOf(DRIVER), PRINCIPAL);
    }

    function test_shortage_within_tolerance_cuts_the_last_payee_first() public {
        // consignor -> carrier (borrows) -> sub -> driver; two payees
        CreditLine memory l = lineForm();
        (l.borrower, l.toleranceBps) = (CARRIER, 5_000);
        line = openLine(l);
        AdvanceRequest memory f = requestForm();
        f.waybill = root;
        f.principal = 8_000_00;
        f.payees = new Payee[](2);
        f.payees[0] = Payee(DRIVER, leaf, DRIVER_ACCOUNT, 6_000_00);
        f.payees[1] = Payee(SUB, mid, "sub", 2_000_00);
        AdvanceId id = approved(f);
        deliver(TRIP, QUANTITY * 9 / 10);
        assertState(id, AdvanceState.Released);
        assertEq(balanceOf(DRIVER), 6_000_00);
        assertEq(balanceOf(SUB), 1_200_00);
        assertEq(balanceOf(CARRIER), 0);
        assertEq(advances.get(id).released, 7_200_00);
        assertEq(facility.reserved(line), 0);
        assertEq(facility.drawn(line), 7_200_00);
        assertEq(facility.cash(LENDER), 50_000_00 - 7_200_00);
    }

    function test_shortage_beyond_tolerance_waits_for_the_lender() public {
        AdvanceId id = approved(requestForm());
        uint64 accepted = QUANTITY * 98 / 100; // tolerance is 1 %
        vm.recordLogs();
        deliver(TRIP, accepted);
        assertState(TRIP, TripState.Delivered);
        assertState(id, AdvanceState.Releasable);
        assertEq(balanceOf(DRIVER), 0);
        refused(
            abi.encodeWithSelector(
                IFreightAdvance.AdvanceShortageHeld.selector, id, accepted, QUANTITY
            )
        );
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
        gate(id, true);
        assertState(id, AdvanceState.Released);
        assertEq(balanceOf(DRIVER), uint256(PRINCIPAL) * 98 / 100);
    }

    function test_nothing_accepted_voids_the_advance() public {
        CreditLine memory l = lineForm();
        l.toleranceBps = 10_000;
        line = openLine(l);
        AdvanceId id = approved(requestForm());
        deliver(TRIP, 0);
        assertState(id, AdvanceState.Voided);
        assertEq(facility.cash(LENDER), 50_000_00);
    }

    function test_a_gated_line_waits_for_the_lender_and_the_gate_opens_or_cancels() public {
        CreditLine memory l = lineForm();
        l.gated = true;
        line = openLine(l);
        AdvanceId id = approved(requestForm());
        deliver(TRIP, QUANTITY);
        assertState(id, AdvanceState.Releasable);
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceGateClosed.selector, id));
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
        uint256 before = vm.snapshotState();
        gate(id, true);
        assertState(id, AdvanceState.Released);
        vm.revertToState(before);
        gate(id, false);
        assertState(id, AdvanceState.Voided);
        assertEq(facility.cash(LENDER), 50_000_00);
        assertTrue(waybills.get(mid).pledgee == NOBODY);
        assertFalse(advances.isPledged(keccak256("fingerprint")));
        Gate memory f = Gate({advance: id, open: true, reason: 0, expires: soon(), salt: salt()});
        bytes memory s = sign(LENDER, address(advances), hash(f));
        _refusedState(id, AdvanceState.Voided, AdvanceState.Releasable);
        submit(address(advances), abi.encodeCall(advances.gate, (f, s)));
    }

    function test_the_gate_is_the_lenders() public {
        CreditLine memory l = lineForm();
        l.gated = true;
        line = openLine(l);
        AdvanceId id = approved(requestForm());
        deliver(TRIP, QUANTITY);
        Gate memory f = Gate({advance: id, open: true, reason: 0, expires: soon(), salt: salt()});
        bytes memory s = sign(SUB, address(advances), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(advances), abi.encodeCall(advances.gate, (f, s)));
    }

    function test_a_leaf_amended_after_approval_waits_for_the_lender() public {
        AdvanceId id = approved(requestForm());
        Amendment memory f = amendmentOf(leaf);
        f.plan = "an easier road";
        amend(f);
        deliver(TRIP, QUANTITY);
        assertState(id, AdvanceState.Releasable);
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceAmended.selector, id));
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
    }

    function test_a_dispute_after_delivery_holds_what_is_releasable() public {
        CreditLine memory l = lineForm();
        l.gated = true;
        line = openLine(l);
        AdvanceId id = approved(requestForm());
        deliver(TRIP, QUANTITY);
        dispute(disputeOf(TRIP, CONSIGNEE));
        gate(id, true);
        assertState(id, AdvanceState.Releasable);
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceDisputed.selector, id));
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
        resolveByArbiter(TRIP, 1);
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
        assertState(id, AdvanceState.Released);
    }

    function test_freight_paid_before_the_release_is_not_lent_on_again() public {
        CreditLine memory l = lineForm();
        l.gated = true;
        line = openLine(l);
        AdvanceId id = approved(requestForm());
        deliver(TRIP, QUANTITY);
        payFreight(mid, MID_FREIGHT - 1_000_00); // the borrower has it
        gate(id, true);
        assertEq(balanceOf(DRIVER), 1_000_00, "no more than the debtor still owes");
    }

    function test_retry_releases_when_the_listener_failed() public {
        AdvanceId id = approved(requestForm());
        load(loadingOf(TRIP));
        drive(TRIP);
        vm.mockCallRevert(
            address(advances), abi.encodeWithSelector(advances.onDelivered.selector), "down"
        );
        confirm(confirmationOf(TRIP));
        vm.clearMockedCalls();
        assertState(TRIP, TripState.Delivered);
        assertState(id, AdvanceState.Approved);
        vm.warp(block.timestamp + 6 days); // approved until then, delivered before
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceNotExpired.selector, id));
        submit(address(advances), abi.encodeCall(advances.expire, (id)));
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
        assertState(id, AdvanceState.Released);
    }

    function test_a_payee_who_fails_stays_claimable_and_stops_nobody() public {
        CreditLine memory l = lineForm();
        (l.borrower, l.feeBps) = (CARRIER, 0); // a fee would meet the ceiling first
        line = openLine(l);
        AdvanceRequest memory f = requestForm();
        (f.waybill, f.principal) = (root, 8_000_00);
        f.payees = new Payee[](2);
        f.payees[0] = Payee(DRIVER, leaf, DRIVER_ACCOUNT, 6_000_00);
        f.payees[1] = Payee(SUB, mid, "sub", 2_000_00);
        AdvanceId id = approved(f);
        vm.mockCallRevert(
            address(waybills), abi.encodeCall(waybills.recordPaid, (leaf, 6_000_00)), "down"
        );
        deliver(TRIP, QUANTITY);
        assertState(id, AdvanceState.Released);
        assertEq(balanceOf(DRIVER), 0);
        assertEq(balanceOf(SUB), 2_000_00);
        assertEq(facility.reserved(line), 6_000_00);
        assertEq(advances.get(id).outstanding, 2_000_00, "interest only on what was paid");
        vm.clearMockedCalls();
        vm.warp(block.timestamp + 10 days);
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
        assertEq(balanceOf(DRIVER), 6_000_00);
        assertEq(advances.get(id).outstanding, 8_000_00);
        Due memory due = advances.due(id, advances.today());
        assertEq(due.interest, uint256(2_000_00) * 109_500 * 10 / 365_000_000);
        _refusedState(id, AdvanceState.Released, AdvanceState.Releasable);
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
    }

    function test_payPayee_and_onDelivered_are_not_for_others() public {
        AdvanceId id = approved(requestForm());
        bytes memory error_ =
            abi.encodeWithSelector(IFreightAdvance.AdvanceCallerNotAllowed.selector, relayer);
        refused(error_);
        submit(address(advances), abi.encodeCall(advances.payPayee, (id, 0)));
        refused(error_);
        submit(address(advances), abi.encodeCall(advances.onDelivered, (TRIP, 1, 1, 1)));
        refused(error_);
        submit(address(advances), abi.encodeCall(advances.settle, (id, relayer, 1)));
    }

    // -- expire -----------------------------------------------------------------------------------

    function test_an_approval_expires_only_before_delivery() public {
        AdvanceId id = approved(requestForm());
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceNotExpired.selector, id));
        submit(address(advances), abi.encodeCall(advances.expire, (id)));
        vm.warp(block.timestamp + 5 days + 1);
        submit(address(advances), abi.encodeCall(advances.expire, (id)));
        assertState(id, AdvanceState.Voided);
        assertEq(facility.cash(LENDER), 50_000_00);
        // The trip may be financed again, with the same listener.
        approved(requestForm());
    }

    function test_an_approval_that_ended_before_delivery_releases_nothing() public {
        AdvanceId id = approved(requestForm());
        vm.warp(block.timestamp + 5 days + 1);
        deliver(TRIP, QUANTITY);
        assertState(TRIP, TripState.Delivered);
        assertState(id, AdvanceState.Voided);
        assertEq(balanceOf(DRIVER), 0);
    }

    function test_an_advance_on_a_void_trip_is_void() public {
        AdvanceId id = approved(requestForm());
        cancel(leaf);
        submit(address(advances), abi.encodeCall(advances.expire, (id)));
        assertState(id, AdvanceState.Voided);
    }

    function test_a_gate_not_answered_frees_the_reserve() public {
        AdvanceId id = approved(requestForm());
        deliver(TRIP, QUANTITY / 2);
        vm.warp(block.timestamp + advances.GATE_WAIT());
        refused(IFreightAdvance.AdvanceNotExpired.selector);
        submit(address(advances), abi.encodeCall(advances.expire, (id)));
        vm.warp(block.timestamp + 1);
        submit(address(advances), abi.encodeCall(advances.expire, (id)));
        assertState(id, AdvanceState.Voided);
        _refusedState(id, AdvanceState.Voided, AdvanceState.Releasable);
        submit(address(advances), abi.encodeCall(advances.expire, (id)));
    }

    // -- repay ------------------------------------------------------------------------------------

    function test_repay_takes_fee_penalty_interest_then_principal() public {
        AdvanceId id = _released();
        mint(accountOf(SUB), 10_000_00);
        vm.warp(block.timestamp + 10 days);
        uint128 fee = PRINCIPAL * 10 / 10_000;
        uint128 interest = uint128(uint256(PRINCIPAL) * 109_500 * 10 / 365_000_000);
        Due memory due = advances.due(id, advances.today());
        assertEq(due.principal, PRINCIPAL);
        assertEq(due.fee, fee);
        assertEq(due.interest, interest);
        assertEq(due.penalty, 0);
        repay(id, fee + interest);
        assertEq(advances.get(id).outstanding, PRINCIPAL);
        repay(id, 10_000_00); // too much: only what is owed is taken
        assertState(id, AdvanceState.Repaid);
        assertEq(balanceOf(SUB), 10_000_00 - PRINCIPAL - fee - interest);
        assertEq(facility.cash(LENDER), 50_000_00 + fee + interest);
        assertEq(advances.advancesOn(mid).length, 0);
        assertTrue(waybills.get(mid).pledgee == NOBODY);
        assertTrue(advances.isPledged(keccak256("fingerprint")), "used up for ever");
        _refusedState(id, AdvanceState.Repaid, AdvanceState.Released);
        repay(id, 1);
    }

    function test_repaid_on_the_release_day_a_loan_costs_nothing() public {
        AdvanceId id = _released();
        mint(accountOf(SUB), PRINCIPAL);
        repay(id, PRINCIPAL);
        assertState(id, AdvanceState.Repaid);
    }

    function test_repay_is_the_borrowers_once_and_from_his_own_account() public {
        AdvanceId id = _released();
        refused(ISettlementToken.TokenFreeBalanceTooLow.selector);
        repay(id, 1);
        _refusedField("amount");
        repay(id, 0);
        mint(accountOf(SUB), 100);
        Repayment memory f = Repayment({advance: id, amount: 50, expires: soon(), salt: salt()});
        bytes memory s = sign(CARRIER, address(advances), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(advances), abi.encodeCall(advances.repay, (f, s)));
        s = sign(SUB, address(advances), hash(f));
        submit(address(advances), abi.encodeCall(advances.repay, (f, s)));
        refused(IFreightAdvance.AdvanceFormUsed.selector);
        submit(address(advances), abi.encodeCall(advances.repay, (f, s)));
    }

    // -- the lender's acts ------------------------------------------------------------------------

    function test_act_default_only_after_grace() public {
        AdvanceId id = _released();
        uint32 from = advances.get(id).dueDay + 3 + 1;
        vm.warp(block.timestamp + 48 days);
        refused(
            abi.encodeWithSelector(IFreightAdvance.AdvanceTooEarly.selector, id, from - 1, from)
        );
        act(id, 1, 0);
        vm.warp(block.timestamp + 1 days);
        act(id, 1, 0);
        assertState(id, AdvanceState.Defaulted);
        Due memory due = advances.due(id, advances.today());
        assertEq(due.penalty, uint256(PRINCIPAL) * 164_250 / 365_000_000);
    }

    function test_act_write_off_keeps_the_claim_and_recoveries_are_income() public {
        AdvanceId id = _released();
        vm.warp(block.timestamp + 60 days);
        _refusedState(id, AdvanceState.Released, AdvanceState.Defaulted);
        act(id, 2, 0);
        act(id, 1, 0);
        act(id, 2, 0);
        assertState(id, AdvanceState.WrittenOff);
        assertEq(facility.drawn(line), 0);
        assertEq(advances.get(id).outstanding, PRINCIPAL);
        uint128 cash = facility.cash(LENDER);
        payFreight(mid, 5_000_00);
        assertEq(facility.cash(LENDER), cash + 5_000_00);
        assertEq(facility.drawn(line), 0);
        assertState(id, AdvanceState.WrittenOff);
        payFreight(mid, MID_FREIGHT - 5_000_00);
        assertState(id, AdvanceState.Repaid);
    }

    function test_act_starts_interest_on_the_banks_value_day() public {
        AdvanceId id = _released();
        uint32 day = advances.today();
        _refusedField("value");
        act(id, 3, day);
        _refusedField("value");
        act(id, 3, day + 46);
        act(id, 3, day + 2);
        vm.warp(block.timestamp + 10 days);
        assertEq(
            advances.due(id, day + 10).interest, uint256(PRINCIPAL) * 109_500 * 8 / 365_000_000
        );
        mint(accountOf(SUB), 10_000);
        repay(id, 10_000);
        _refusedField("value"); // days have been counted
        act(id, 3, day + 12);
    }

    function test_act_extends_to_a_later_due_day_and_what_has_accrued_stays() public {
        AdvanceId id = _released();
        uint32 due = advances.get(id).dueDay;
        uint32 grace = facility.arrearsFrom(id) - due - 1;
        _refusedField("value");
        act(id, 6, due);
        _refusedField("value");
        act(id, 6, due + 3651);
        // Ten days into arrears: five days of penalty more, then the contract rate again.
        vm.warp(block.timestamp + (due + grace + 5 - advances.today()) * 1 days);
        Due memory before = advances.due(id, advances.today());
        assertEq(before.penalty, uint256(PRINCIPAL) * 164_250 * 5 / 365_000_000);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceExtended(id, due + 100);
        act(id, 6, due + 100);
        assertEq(advances.get(id).dueDay, due + 100);
        assertEq(facility.arrearsFrom(id), due + 100 + grace + 1);
        Due memory later = advances.due(id, due + 100 + grace);
        assertEq(later.penalty, before.penalty);
        uint256 contractDays = uint256(due) + grace - advances.get(id).startDay;
        contractDays += uint256(due) + 100 + grace - advances.today();
        assertEq(later.interest, uint256(PRINCIPAL) * 109_500 * contractDays / 365_000_000);
        assertGt(advances.due(id, due + 100 + grace + 1).penalty, before.penalty);
        // No default before the new day, one after it; a loan in default is not extended.
        refused(IFreightAdvance.AdvanceTooEarly.selector);
        act(id, 1, 0);
        vm.warp(block.timestamp + 200 days);
        act(id, 1, 0);
        _refusedState(id, AdvanceState.Defaulted, AdvanceState.Released);
        act(id, 6, due + 300);
    }

    function test_act_declines_a_request_and_only_that() public {
        AdvanceId id = request(requestForm());
        act(id, 4, 0);
        assertState(id, AdvanceState.Declined);
        _refusedState(id, AdvanceState.Declined, AdvanceState.Requested);
        act(id, 4, 0);
        refused(IFreightAdvance.AdvanceUnexpectedState.selector);
        acknowledge(acknowledgementOf(id));
    }

    function test_act_waives_charges_that_are_due_never_principal() public {
        AdvanceId id = _released();
        vm.warp(block.timestamp + 10 days);
        uint128 fee = PRINCIPAL * 10 / 10_000;
        uint128 interest = uint128(uint256(PRINCIPAL) * 109_500 * 10 / 365_000_000);
        _refusedField("value");
        act(id, 5, fee + interest + 1);
        _refusedField("value");
        act(id, 5, 0);
        act(id, 5, fee + 1);
        assertEq(advances.due(id, advances.today()).fee, 0);
        assertEq(advances.due(id, advances.today()).interest, interest - 1);
        _refusedField("act");
        act(id, 7, 0);
        _refusedField("act");
        act(id, 0, 0);
        id = request(_second());
        refused(IFreightAdvance.AdvanceUnexpectedState.selector);
        act(id, 5, 1);
    }

    function _second() internal returns (AdvanceRequest memory f) {
        Waybill memory r = rootForm();
        (r.issuer, r.performer) = (CARRIER, SUB);
        mid = issue(r);
        Waybill memory w = leafForm(mid);
        (w.trip, w.vehicle) = (TripId.wrap("2"), "vehicle 2");
        leaf = issue(w);
        f = requestForm();
        (f.trip, f.fingerprint) = (w.trip, "2");
    }

    function test_act_is_the_lenders_and_once() public {
        AdvanceId id = request(requestForm());
        LenderAct memory f = LenderAct(id, 4, 0, "", soon(), salt());
        bytes memory s = sign(SUB, address(advances), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(advances), abi.encodeCall(advances.act, (f, s)));
        s = sign(LENDER, address(advances), hash(f));
        submit(address(advances), abi.encodeCall(advances.act, (f, s)));
        refused(IFreightAdvance.AdvanceFormUsed.selector);
        submit(address(advances), abi.encodeCall(advances.act, (f, s)));
    }

    function test_default_gives_back_what_could_not_be_paid() public {
        AdvanceId id = approved(requestForm());
        vm.mockCallRevert(
            address(waybills), abi.encodeCall(waybills.recordPaid, (leaf, PRINCIPAL)), "down"
        );
        deliver(TRIP, QUANTITY);
        vm.clearMockedCalls();
        assertEq(facility.reserved(line), PRINCIPAL);
        vm.warp(block.timestamp + 60 days);
        act(id, 1, 0);
        assertEq(facility.reserved(line), 0);
        assertEq(facility.cash(LENDER), 50_000_00);
        refused(IFreightAdvance.AdvanceUnexpectedState.selector);
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
    }

    // -- pause ------------------------------------------------------------------------------------

    function test_pause_stops_requests_and_approvals_and_nothing_else() public {
        AdvanceId id = approved(requestForm());
        AdvanceId other = request(_second());
        agree(other);
        refused(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, relayer));
        submit(address(advances), abi.encodeCall(advances.pause, ()));
        vm.prank(admin);
        advances.pause();
        AdvanceRequest memory f = requestForm();
        f.fingerprint = "3";
        refused(Pausable.EnforcedPause.selector);
        request(f);
        refused(Pausable.EnforcedPause.selector);
        approve(approvalOf(other));
        deliver(TRIP, QUANTITY);
        assertState(id, AdvanceState.Released);
        payFreight(waybills.get(waybills.leafOf(TRIP)).parent, MID_FREIGHT);
        assertState(id, AdvanceState.Repaid);
        moveVault(LENDER, false, facility.cash(LENDER));
        refused(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, relayer));
        submit(address(advances), abi.encodeCall(advances.unpause, ()));
        vm.prank(admin);
        advances.unpause();
    }
}
