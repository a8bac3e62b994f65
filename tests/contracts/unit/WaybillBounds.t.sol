// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";
import {
    IWaybillRegistry,
    LeafFacts,
    WaybillRecord
} from "contracts/interfaces/IWaybillRegistry.sol";

/// @title Waybills at their bounds: the last value that is taken, and every fact that can be read
contract WaybillBoundsTest is Base {
    function _refusedField(bytes32 field) internal {
        refused(abi.encodeWithSelector(IWaybillRegistry.WaybillFieldInvalid.selector, field));
    }

    function _leafOn(WaybillId parent, bytes32 name, uint128 freight, uint64 quantity)
        internal
        returns (TripId trip)
    {
        Waybill memory f = leafForm(parent);
        (f.freight, f.quantity) = (freight, quantity);
        (f.trip, f.vehicle) = (TripId.wrap(name), name);
        leaf = issue(f);
        return f.trip;
    }

    // -- issue ------------------------------------------------------------------------------------

    function test_the_last_values_of_each_field_are_taken() public {
        Waybill memory f = rootForm();
        f.expires = uint64(block.timestamp);
        f.termDays = 3650;
        (f.freight, f.quantity) = (2 ** 53 - 1, 2 ** 53 - 1);
        (f.loadFrom, f.deliverBy) = (type(uint32).max - 1, type(uint32).max);
        root = issue(f);
        WaybillRecord memory r = waybills.get(root);
        assertEq(r.freight, 2 ** 53 - 1);
        assertEq(r.quantity, 2 ** 53 - 1);
        assertEq(r.loadFrom, type(uint32).max - 1);
        assertEq(r.deliverBy, type(uint32).max);
        assertEq(r.termDays, 3650);
    }

    function test_a_performer_nobody_and_a_consignee_nobody_are_refused() public {
        Waybill memory f = rootForm();
        f.performer = NOBODY;
        _refusedField("performer");
        issue(f);
        f = rootForm();
        f.consignee = NOBODY;
        _refusedField("consignee");
        issue(f);
    }

    function test_a_childs_window_may_be_its_parents_and_begins_no_earlier() public {
        root = issue(rootForm());
        Waybill memory f = midForm(root);
        f.loadFrom--;
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillWindowOutsideParent.selector, root, f.loadFrom, f.deliverBy
            )
        );
        issue(f);
        f.loadFrom++;
        mid = issue(f);
        assertEq(waybills.get(mid).loadFrom, waybills.get(root).loadFrom);
        assertEq(waybills.get(mid).deliverBy, waybills.get(root).deliverBy);
    }

    function test_nobody_stands_twice_however_far_above() public {
        root = issue(rootForm());
        mid = issue(midForm(root));
        Waybill memory f = leafForm(mid);
        f.performer = CARRIER; // performs the root
        refused(abi.encodeWithSelector(IWaybillRegistry.WaybillPartyTwice.selector, mid, CARRIER));
        issue(f);
        f.performer = CONSIGNOR; // issued the root
        refused(
            abi.encodeWithSelector(IWaybillRegistry.WaybillPartyTwice.selector, root, CONSIGNOR)
        );
        issue(f);
    }

    /// @dev Anybody may name policies; if their numbers could run out, one firm could shut the door for all others.
    function test_policies_never_run_out() public {
        issueChain();
        // As if 65,535 policies had been named before.
        uint256 slot = _slotOfPolicyCount();
        vm.store(address(waybills), bytes32(slot), bytes32(uint256(type(uint16).max)));
        Waybill memory f = rootForm();
        (f.trip, f.vehicle, f.plan, f.policy) = (TripId.wrap("2"), "2", PLAN, "another policy");
        leaf = issue(f);
        (,,, bytes32 policy) = waybills.tripTerms(f.trip);
        assertEq(policy, "another policy");
        (,,, policy) = waybills.tripTerms(TRIP);
        assertEq(policy, POLICY);
        WaybillRecord memory r = waybills.get(leaf);
        assertEq(r.children, 0);
        assertEq(r.childFreight, 0);
        assertEq(r.childQuantity, 0, "the policy's number is no quantity");
        // Nor does the number keep the parties from a smaller quantity.
        Amendment memory a = amendmentOf(leaf);
        (a.quantity, a.vehicle, a.plan, a.version) = (1, "2", PLAN, 1);
        amend(a);
        assertEq(waybills.get(leaf).quantity, 1);
    }

    /// @dev The slot that counts the policies: the only one that holds 1 after the first.
    function _slotOfPolicyCount() internal view returns (uint256) {
        for (uint256 i = 0; i < 20; i++) {
            if (vm.load(address(waybills), bytes32(i)) == bytes32(uint256(1))) return i;
        }
        revert("not found");
    }

    // -- amend ------------------------------------------------------------------------------------

    function test_an_amendment_may_go_down_to_the_children_and_up_to_the_parent() public {
        root = issue(rootForm());
        mid = issue(midForm(root));
        _leafOn(mid, "1", LEAF_FREIGHT, QUANTITY / 2);
        Amendment memory f = amendmentOf(mid);
        (f.freight, f.quantity) = (LEAF_FREIGHT, QUANTITY / 2);
        f.expires = uint64(block.timestamp);
        amend(f);
        assertEq(waybills.get(root).childFreight, LEAF_FREIGHT);
        assertEq(waybills.get(root).childQuantity, QUANTITY / 2);
        f = amendmentOf(mid);
        (f.freight, f.quantity) = (ROOT_FREIGHT, QUANTITY);
        amend(f);
        assertEq(waybills.get(root).childFreight, ROOT_FREIGHT);
        f = amendmentOf(mid);
        f.quantity = QUANTITY + 1;
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillQuantityExceedsParent.selector, root, QUANTITY + 1, QUANTITY
            )
        );
        amend(f);
    }

    function test_an_amended_window_holds_the_old_one_only_where_there_are_children() public {
        root = issue(rootForm());
        Amendment memory f = amendmentOf(root);
        (f.loadFrom, f.deliverBy) = (START + 1 hours, START + 2 days); // nobody below yet
        amend(f);
        assertEq(waybills.get(root).loadFrom, START + 1 hours);
        assertEq(waybills.get(root).deliverBy, START + 2 days);
        Waybill memory w = midForm(root);
        (w.loadFrom, w.deliverBy) = (START + 2 hours, START + 1 days);
        mid = issue(w);
        f = amendmentOf(root);
        f.loadFrom++;
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillWindowOutsideParent.selector, root, f.loadFrom, f.deliverBy
            )
        );
        amend(f);
        f = amendmentOf(root);
        (f.loadFrom, f.deliverBy) = (START, START + 3 days); // wider is always right
        amend(f);
        f = amendmentOf(mid);
        (f.loadFrom, f.deliverBy) = (START, START + 3 days); // as wide as the parent
        amend(f);
        f = amendmentOf(mid);
        f.loadFrom = START - 1;
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillWindowOutsideParent.selector, root, f.loadFrom, f.deliverBy
            )
        );
        amend(f);
    }

    function test_an_amendment_keeps_the_bounds_of_an_issue() public {
        issueChain();
        Amendment memory f = amendmentOf(leaf);
        f.freight = 0;
        _refusedField("freight");
        amend(f);
        f = amendmentOf(leaf);
        f.quantity = 0;
        _refusedField("quantity");
        amend(f);
        f = amendmentOf(leaf);
        f.loadFrom = f.deliverBy;
        _refusedField("loadFrom");
        amend(f);
        f = amendmentOf(leaf);
        f.vehicle = 0;
        _refusedField("vehicle");
        amend(f);
        f = amendmentOf(mid);
        f.plan = PLAN;
        _refusedField("plan");
        amend(f);
    }

    function test_an_amendment_and_a_credit_need_both_sides() public {
        issueChain();
        Amendment memory f = amendmentOf(mid);
        bytes memory a = sign(CARRIER, address(waybills), hash(f));
        bytes memory b = sign(SUB, address(waybills), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(waybills), abi.encodeCall(waybills.amend, (f, a, a, "")));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(waybills), abi.encodeCall(waybills.amend, (f, b, b, "")));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(waybills), abi.encodeCall(waybills.amend, (f, "", b, "")));
        CreditNote memory n = creditNote(mid, 1);
        a = sign(CARRIER, address(waybills), hash(n));
        b = sign(SUB, address(waybills), hash(n));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(waybills), abi.encodeCall(waybills.credit, (n, a, a, "")));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(waybills), abi.encodeCall(waybills.credit, (n, b, b, "")));
    }

    /// @dev Its issuer never signed it and is bound by nothing; if he signs a change, his signature must be his.
    function test_a_declared_root_is_its_performers_to_change() public {
        Waybill memory w = rootForm();
        bytes memory b = sign(CARRIER, address(waybills), hash(w));
        submit(address(waybills), abi.encodeCall(waybills.issue, (w, "", b)));
        root = waybills.hashWaybill(w);
        Amendment memory f = amendmentOf(root);
        f.freight = 5_000_00;
        b = sign(CARRIER, address(waybills), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(waybills), abi.encodeCall(waybills.amend, (f, b, b, "")));
        submit(address(waybills), abi.encodeCall(waybills.amend, (f, "", b, "")));
        assertEq(waybills.get(root).freight, 5_000_00);
        assertTrue(waybills.get(root).declared);
        mid = issue(midFormOf(root, 4_000_00));
        assertFalse(waybills.get(mid).declared, "below it everybody has signed");
    }

    function midFormOf(WaybillId parent, uint128 freight) internal returns (Waybill memory f) {
        f = midForm(parent);
        f.freight = freight;
    }

    // -- cancel and credit ------------------------------------------------------------------------

    function test_a_cancellation_is_in_time_and_of_the_present_version() public {
        root = issue(rootForm());
        Cancellation memory f = Cancellation(root, 2, soon(), salt());
        bytes memory a = sign(CONSIGNOR, address(waybills), hash(f));
        bytes memory b = sign(CARRIER, address(waybills), hash(f));
        refused(abi.encodeWithSelector(IWaybillRegistry.WaybillVersionStale.selector, root, 1, 2));
        submit(address(waybills), abi.encodeCall(waybills.cancel, (f, a, b)));
        f = Cancellation(root, 1, uint64(block.timestamp) - 1, salt());
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillFormExpired.selector, f.expires, block.timestamp
            )
        );
        submit(address(waybills), abi.encodeCall(waybills.cancel, (f, a, b)));
        f.expires = uint64(block.timestamp);
        a = sign(CONSIGNOR, address(waybills), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(waybills), abi.encodeCall(waybills.cancel, (f, a, a)));
        b = sign(CARRIER, address(waybills), hash(f));
        submit(address(waybills), abi.encodeCall(waybills.cancel, (f, a, b)));
        assertState(root, WaybillState.Cancelled);
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillUnexpectedState.selector,
                root,
                WaybillState.Cancelled,
                WaybillState.Issued
            )
        );
        submit(address(waybills), abi.encodeCall(waybills.cancel, (f, a, b)));
    }

    function test_a_pledged_waybill_on_which_nothing_hangs_is_not_cancelled() public {
        root = issue(rootForm());
        vm.prank(address(advances));
        waybills.pledge(root, LENDER);
        refused(
            abi.encodeWithSelector(IWaybillRegistry.WaybillPledgedElsewhere.selector, root, LENDER)
        );
        cancel(root);
    }

    function test_a_credit_note_covers_all_that_is_open_and_nothing_of_what_has_ended() public {
        issueChain();
        credit(creditNote(leaf, LEAF_FREIGHT)); // all of it, before the drive
        assertEq(waybills.get(leaf).credited, LEAF_FREIGHT);
        assertEq(waybills.get(leaf).paid, 0);
        refused(abi.encodeWithSelector(IWaybillRegistry.WaybillOverpaid.selector, leaf, 0, 1));
        credit(creditNote(leaf, 1));
        deliver(TRIP, QUANTITY); // nothing is owed, so it is paid with its delivery
        assertState(leaf, WaybillState.Paid);
        assertState(mid, WaybillState.Delivered);
        WaybillId other = issue(rootForm());
        cancel(other);
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillUnexpectedState.selector,
                other,
                WaybillState.Cancelled,
                WaybillState.Delivered
            )
        );
        credit(creditNote(other, 1));
    }

    // -- what the contracts above record ----------------------------------------------------------

    function test_paid_and_credited_add_up_and_close_a_delivered_waybill() public {
        issueChain();
        deliver(TRIP, QUANTITY);
        vm.prank(address(advances));
        waybills.recordPaid(leaf, 1_000_00);
        credit(creditNote(leaf, 500_00));
        assertEq(waybills.get(leaf).paid, 1_000_00);
        assertEq(waybills.get(leaf).credited, 500_00);
        assertEq(waybills.outstanding(leaf), LEAF_FREIGHT - 1_500_00);
        vm.startPrank(address(settlement));
        vm.expectRevert(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillOverpaid.selector,
                leaf,
                LEAF_FREIGHT - 1_500_00,
                LEAF_FREIGHT - 1_500_00 + 1
            )
        );
        waybills.recordPaid(leaf, LEAF_FREIGHT - 1_500_00 + 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillUnknown.selector, WaybillId.wrap("nowhere")
            )
        );
        waybills.recordPaid(WaybillId.wrap("nowhere"), 0);
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillPaid(leaf, LEAF_FREIGHT - 1_500_00, LEAF_FREIGHT - 500_00);
        waybills.recordPaid(leaf, LEAF_FREIGHT - 1_500_00);
        vm.stopPrank();
        assertState(leaf, WaybillState.Paid);
        assertEq(waybills.outstanding(leaf), 0);
    }

    function test_a_void_trip_spares_a_leaf_that_its_parties_cancelled() public {
        issueChain();
        cancel(leaf);
        vm.prank(address(deliveries));
        waybills.recordVoid(TRIP);
        assertState(leaf, WaybillState.Cancelled);
        assertEq(waybills.get(mid).childFreight, 0);
        assertEq(waybills.get(mid).children, 0);
    }

    function test_a_second_truck_finds_its_parents_in_transit() public {
        root = issue(rootForm());
        mid = issue(midForm(root));
        TripId first = _leafOn(mid, "1", 1_000_00, QUANTITY / 2);
        WaybillId one = leaf;
        TripId second = _leafOn(mid, "2", 2_000_00, QUANTITY / 2);
        load(loadingOf(first));
        assertState(mid, WaybillState.InTransit);
        assertState(leaf, WaybillState.Issued);
        load(loadingOf(second));
        assertState(leaf, WaybillState.InTransit);
        drive(first);
        Confirmation memory c = confirmationOf(first);
        c.accepted = QUANTITY / 4;
        confirm(c);
        WaybillRecord memory r = waybills.get(mid);
        assertEq(r.accepted, QUANTITY / 4);
        assertEq(r.deliveredQuantity, QUANTITY / 2);
        assertEq(r.deliveredAt, 0);
        assertEq(waybills.get(one).deliveredQuantity, QUANTITY / 2);
        assertEq(waybills.get(one).deliveredAt, block.timestamp);
        assertEq(waybills.outstanding(mid), uint256(MID_FREIGHT) / 4);
        drive(second);
        confirm(confirmationOf(second));
        r = waybills.get(mid);
        assertEq(r.accepted, QUANTITY * 3 / 4);
        assertEq(r.deliveredQuantity, QUANTITY);
        assertEq(r.deliveredAt, block.timestamp);
        assertState(root, WaybillState.Delivered);
    }

    // -- reading ----------------------------------------------------------------------------------

    function test_get_shows_the_whole_record() public {
        uint256 at = block.timestamp;
        issueChain();
        vm.prank(address(advances));
        waybills.pledge(mid, LENDER);
        WaybillRecord memory r = waybills.get(mid);
        assertTrue(r.parent == root && r.issuer == CARRIER && r.performer == SUB);
        assertTrue(r.consignee == CONSIGNEE && r.pledgee == LENDER && r.trip == NO_TRIP);
        assertEq(r.tier, 1);
        assertEq(r.children, 1);
        assertEq(r.version, 1);
        assertEq(r.termDays, 45);
        assertEq(r.quantity, QUANTITY);
        assertEq(r.loadFrom, START);
        assertEq(r.deliverBy, START + 3 days);
        assertEq(r.issuedAt, at);
        assertEq(r.childQuantity, QUANTITY);
        assertEq(r.freight, MID_FREIGHT);
        assertEq(r.childFreight, LEAF_FREIGHT);
        r = waybills.get(root);
        assertTrue(r.parent == NO_WAYBILL && r.issuer == CONSIGNOR && r.consignee == CONSIGNEE);
        assertFalse(r.declared);
        r = waybills.get(WaybillId.wrap("nowhere"));
        assertEq(uint8(r.state), uint8(WaybillState.None));
        assertTrue(r.issuer == NOBODY && r.consignee == NOBODY);
    }

    function test_leafFacts_tell_the_leaf_or_nothing() public {
        issueChain();
        LeafFacts memory f = waybills.leafFacts(TRIP);
        assertTrue(f.waybill == leaf && f.performer == DRIVER && f.consignee == CONSIGNEE);
        assertEq(uint8(f.state), uint8(WaybillState.Issued));
        assertEq(f.version, 1);
        assertEq(f.quantity, QUANTITY);
        assertEq(f.loadFrom, START);
        assertEq(f.deliverBy, START + 3 days);
        assertEq(f.issuedAt, block.timestamp);
        f = waybills.leafFacts(TripId.wrap("nowhere"));
        assertTrue(f.waybill == NO_WAYBILL && f.performer == NOBODY && f.consignee == NOBODY);
        assertEq(uint8(f.state), uint8(WaybillState.None));
    }

    function test_receivableOf_is_the_trips_share_and_nothing_for_a_trip_elsewhere() public {
        root = issue(rootForm());
        mid = issue(midForm(root));
        TripId trip = _leafOn(mid, "1", 1_000_00, QUANTITY / 3);
        (PartyId debtor, PartyId creditor, bool declared, uint32 version, uint128 share) =
            waybills.receivableOf(mid, trip);
        assertTrue(debtor == CARRIER && creditor == SUB);
        assertFalse(declared);
        assertEq(version, 1);
        assertEq(share, MID_FREIGHT / 3);
        credit(creditNote(mid, MID_FREIGHT - 1));
        (,,,, share) = waybills.receivableOf(mid, trip);
        assertEq(share, 1, "no more than is open");
        (debtor,,, version, share) = waybills.receivableOf(mid, TripId.wrap("nowhere"));
        assertTrue(debtor == CARRIER);
        assertEq(version, 0);
        assertEq(share, 0);
        (debtor, creditor,, version,) = waybills.receivableOf(WaybillId.wrap("nowhere"), trip);
        assertTrue(debtor == NOBODY && creditor == NOBODY);
        assertEq(version, 0);
    }

    function test_payableTo_is_for_performers_between_the_leaf_and_the_one_above() public {
        issueChain();
        assertEq(waybills.payableTo(DRIVER, leaf, TRIP, mid), LEAF_FREIGHT);
        assertEq(waybills.payableTo(DRIVER, leaf, TRIP, root), LEAF_FREIGHT);
        assertEq(waybills.payableTo(SUB, mid, TRIP, root), MID_FREIGHT);
        assertEq(waybills.payableTo(SUB, mid, TRIP, mid), 0, "not below itself");
        assertEq(waybills.payableTo(SUB, leaf, TRIP, mid), 0, "another's");
        assertEq(waybills.payableTo(CARRIER, root, TRIP, root), 0);
        assertEq(waybills.payableTo(SUB, mid, TripId.wrap("nowhere"), root), 0);
        assertEq(waybills.payableTo(DRIVER, leaf, TRIP, NO_WAYBILL), 0);
    }

    function test_isBelow_and_isPartyOfChain_go_up_to_the_root() public {
        issueChain();
        assertTrue(waybills.isBelow(leaf, mid));
        assertTrue(waybills.isBelow(mid, root));
        assertFalse(waybills.isBelow(mid, leaf));
        assertFalse(waybills.isBelow(mid, mid));
        assertFalse(waybills.isBelow(WaybillId.wrap("nowhere"), root));
        PartyId[5] memory all = [CONSIGNOR, CARRIER, SUB, DRIVER, CONSIGNEE];
        for (uint256 i = 0; i < all.length; i++) {
            assertTrue(waybills.isPartyOfChain(leaf, all[i]));
        }
        assertFalse(waybills.isPartyOfChain(leaf, NOBODY));
        assertFalse(waybills.isPartyOfChain(mid, DRIVER), "he stands below it");
        assertFalse(waybills.isPartyOfChain(WaybillId.wrap("nowhere"), DRIVER));
    }

    function test_of_what_is_unknown_nothing_is_owed() public view {
        assertEq(waybills.outstanding(WaybillId.wrap("nowhere")), 0);
        (uint32 version, bytes32 vehicle) = waybills.vehicleOf(TripId.wrap("nowhere"));
        assertEq(version, 0);
        assertEq(vehicle, 0);
        (,,, bytes32 policy) = waybills.tripTerms(TripId.wrap("nowhere"));
        assertEq(policy, 0);
    }
}
