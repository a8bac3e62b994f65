// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";
import {IWaybillRegistry, WaybillRecord} from "contracts/interfaces/IWaybillRegistry.sol";

contract WaybillRegistryTest is Base {
    function _refusedField(bytes32 field) internal {
        refused(abi.encodeWithSelector(IWaybillRegistry.WaybillFieldInvalid.selector, field));
    }

    // -- issue ------------------------------------------------------------------------------------

    function test_issue_records_what_both_signed() public {
        Waybill memory f = rootForm();
        root = issue(f);
        WaybillRecord memory r = waybills.get(root);
        assertTrue(root == waybills.hashWaybill(f));
        assertTrue(r.issuer == CONSIGNOR && r.performer == CARRIER && r.consignee == CONSIGNEE);
        assertEq(r.freight, ROOT_FREIGHT);
        assertEq(r.version, 1);
        assertEq(r.issuedAt, block.timestamp);
        assertState(root, WaybillState.Issued);
        refused(abi.encodeWithSelector(IWaybillRegistry.WaybillAlreadyIssued.selector, root));
        issue(f);
    }

    function test_issue_builds_a_chain_of_three_tiers() public {
        issueChain();
        WaybillRecord memory r = waybills.get(leaf);
        assertEq(r.tier, 2);
        assertTrue(r.parent == mid && r.trip == TRIP);
        assertTrue(waybills.leafOf(TRIP) == leaf);
        assertTrue(waybills.isBelow(leaf, root) && !waybills.isBelow(root, leaf));
        assertFalse(waybills.isBelow(leaf, NO_WAYBILL));
        assertEq(waybills.get(mid).childFreight, LEAF_FREIGHT);
        assertEq(waybills.get(mid).children, 1);
        (uint32 version, bytes32 vehicle, bytes32 plan, bytes32 policy) = waybills.tripTerms(TRIP);
        assertEq(version, 1);
        assertEq(vehicle, VEHICLE);
        assertEq(plan, PLAN);
        assertEq(policy, POLICY);
        assertTrue(waybills.isPartyOfChain(leaf, CONSIGNOR));
        assertFalse(waybills.isPartyOfChain(leaf, STRANGER));
    }

    function test_issue_keeps_a_declared_root_declared_for_ever() public {
        Waybill memory f = rootForm();
        bytes memory b = sign(CARRIER, address(waybills), hash(f));
        submit(address(waybills), abi.encodeCall(waybills.issue, (f, "", b)));
        root = waybills.hashWaybill(f);
        assertTrue(waybills.get(root).declared);
    }

    function test_issue_needs_the_issuers_signature_below_the_root() public {
        root = issue(rootForm());
        Waybill memory f = midForm(root);
        bytes memory b = sign(SUB, address(waybills), hash(f));
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillSignatureMissing.selector, hash(f), CARRIER
            )
        );
        submit(address(waybills), abi.encodeCall(waybills.issue, (f, "", b)));
    }

    function test_issue_refuses_a_wrong_or_foreign_signature() public {
        Waybill memory f = rootForm();
        bytes memory a = sign(CONSIGNOR, address(waybills), hash(f));
        bytes memory b = sign(STRANGER, address(waybills), hash(f));
        refused(
            abi.encodeWithSelector(
                IPartyRegistry.PartySignatureInvalid.selector,
                CARRIER,
                digestOf(address(waybills), hash(f))
            )
        );
        submit(address(waybills), abi.encodeCall(waybills.issue, (f, a, b)));
        b = sign(CARRIER, address(deliveries), hash(f)); // for another contract
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(waybills), abi.encodeCall(waybills.issue, (f, a, b)));
        b = sign(CARRIER, address(waybills), hash(f));
        vm.chainId(2); // for another chain
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(waybills), abi.encodeCall(waybills.issue, (f, a, b)));
        vm.chainId(31337);
        f.freight++; // for other terms
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(waybills), abi.encodeCall(waybills.issue, (f, a, b)));
    }

    function test_issue_refuses_each_field_that_cannot_be() public {
        Waybill memory f = rootForm();
        f.expires = uint64(block.timestamp) - 1;
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillFormExpired.selector, f.expires, block.timestamp
            )
        );
        issue(f);
        f = rootForm();
        f.issuer = NOBODY;
        _refusedField("issuer");
        issue(f);
        f = rootForm();
        f.performer = CONSIGNOR;
        _refusedField("performer");
        issue(f);
        f = rootForm();
        f.consignee = CARRIER;
        _refusedField("consignee");
        issue(f);
        f = rootForm();
        f.shippingNote = 0;
        _refusedField("shippingNote");
        issue(f);
        f = rootForm();
        f.termDays = 3651;
        _refusedField("termDays");
        issue(f);
        f = rootForm();
        f.freight = 2 ** 53;
        _refusedField("freight");
        issue(f);
        f.freight = 0;
        _refusedField("freight");
        issue(f);
        f = rootForm();
        f.quantity = 0;
        _refusedField("quantity");
        issue(f);
        f.quantity = 2 ** 53;
        _refusedField("quantity");
        issue(f);
        f = rootForm();
        f.loadFrom = f.deliverBy;
        _refusedField("loadFrom");
        issue(f);
        f.deliverBy = 2 ** 32;
        _refusedField("deliverBy");
        issue(f);
    }

    function test_issue_wants_all_fields_of_a_leaf_or_none() public {
        Waybill memory f = rootForm();
        f.trip = TRIP;
        _refusedField("vehicle");
        issue(f);
        f.vehicle = VEHICLE;
        _refusedField("plan");
        issue(f);
        f.plan = PLAN;
        _refusedField("policy");
        issue(f);
        f.policy = POLICY;
        f.trip = NO_TRIP;
        _refusedField("vehicle");
        issue(f);
        f.trip = TRIP;
        leaf = issue(f); // one waybill may be root and leaf
        assertEq(waybills.get(leaf).tier, 0);
    }

    function test_issue_refuses_what_does_not_close() public {
        root = issue(rootForm());
        Waybill memory f = midForm(root);
        f.issuer = LENDER;
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillIssuerNotParentPerformer.selector, root, CARRIER, LENDER
            )
        );
        issue(f);
        f = midForm(root);
        f.performer = CONSIGNOR;
        refused(
            abi.encodeWithSelector(IWaybillRegistry.WaybillPartyTwice.selector, root, CONSIGNOR)
        );
        issue(f);
        f = midForm(root);
        f.consignee = LENDER;
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillConsigneeDiffers.selector, root, CONSIGNEE, LENDER
            )
        );
        issue(f);
        f = midForm(root);
        f.shippingNote = keccak256("other note");
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillShippingNoteDiffers.selector, root, NOTE, f.shippingNote
            )
        );
        issue(f);
        f = midForm(root);
        f.freight = ROOT_FREIGHT + 1;
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillFreightExceedsParent.selector,
                root,
                ROOT_FREIGHT + 1,
                ROOT_FREIGHT
            )
        );
        issue(f);
        f = midForm(root);
        f.quantity = QUANTITY + 1;
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillQuantityExceedsParent.selector, root, QUANTITY + 1, QUANTITY
            )
        );
        issue(f);
        f = midForm(root);
        f.deliverBy++;
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillWindowOutsideParent.selector, root, f.loadFrom, f.deliverBy
            )
        );
        issue(f);
        WaybillId nowhere = WaybillId.wrap("nowhere");
        refused(abi.encodeWithSelector(IWaybillRegistry.WaybillUnknown.selector, nowhere));
        issue(midForm(nowhere));
    }

    function test_issue_bounds_the_sum_of_split_loads() public {
        root = issue(rootForm());
        mid = issue(midForm(root));
        Waybill memory f = leafForm(mid);
        f.freight = MID_FREIGHT / 2;
        f.quantity = QUANTITY / 2;
        issue(f);
        Waybill memory g = leafForm(mid);
        (g.freight, g.quantity) = (MID_FREIGHT / 2, QUANTITY / 2);
        (g.trip, g.vehicle) = (TripId.wrap("trip 2"), keccak256("vehicle 2"));
        issue(g);
        Waybill memory h = leafForm(mid);
        (h.freight, h.quantity) = (1, 1);
        (h.trip, h.vehicle) = (TripId.wrap("trip 3"), keccak256("vehicle 3"));
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillFreightExceedsParent.selector,
                mid,
                MID_FREIGHT + 1,
                MID_FREIGHT
            )
        );
        issue(h);
    }

    function test_issue_refuses_a_child_of_a_leaf_and_a_second_leaf_of_a_trip() public {
        issueChain();
        Waybill memory f = leafForm(leaf);
        (f.issuer, f.performer, f.trip) = (DRIVER, LENDER, TripId.wrap("trip 2"));
        refused(abi.encodeWithSelector(IWaybillRegistry.WaybillParentIsLeaf.selector, leaf, TRIP));
        issue(f);
        f = leafForm(mid);
        refused(abi.encodeWithSelector(IWaybillRegistry.WaybillTripTaken.selector, TRIP, leaf));
        issue(f);
    }

    function test_issue_reaches_nine_tiers_and_no_more() public {
        WaybillId at = issue(rootForm());
        PartyId above = CARRIER;
        for (uint64 i = 1; i <= 9; i++) {
            PartyId next = PartyId.wrap(1000 + i);
            enrol(next);
            Waybill memory f = midForm(at);
            (f.issuer, f.performer) = (above, next);
            if (i == 9) {
                refused(abi.encodeWithSelector(IWaybillRegistry.WaybillTooDeep.selector, 9, 8));
            }
            at = issue(f);
            above = next;
        }
    }

    function test_issue_refuses_a_child_of_what_has_ended() public {
        root = issue(rootForm());
        cancel(root);
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillUnexpectedState.selector,
                root,
                WaybillState.Cancelled,
                WaybillState.Issued
            )
        );
        issue(midForm(root));
    }

    // -- batch ------------------------------------------------------------------------------------

    function _batch() internal returns (Waybill[] memory f, bytes[] memory a, bytes[] memory b) {
        (f, a, b) = (new Waybill[](3), new bytes[](3), new bytes[](3));
        f[0] = rootForm();
        f[1] = midForm(waybills.hashWaybill(f[0]));
        f[2] = leafForm(waybills.hashWaybill(f[1]));
        for (uint256 i = 0; i < 3; i++) {
            a[i] = sign(f[i].issuer, address(waybills), hash(f[i]));
            b[i] = sign(f[i].performer, address(waybills), hash(f[i]));
        }
    }

    function test_issueBatch_issues_a_whole_chain() public {
        (Waybill[] memory f, bytes[] memory a, bytes[] memory b) = _batch();
        assertEq(waybills.issueBatch(f, a, b, true), 3);
        assertState(waybills.leafOf(TRIP), WaybillState.Issued);
    }

    function test_issueBatch_refuses_the_bad_and_keeps_the_rest() public {
        (Waybill[] memory f, bytes[] memory a, bytes[] memory b) = _batch();
        b[2] = b[1];
        vm.expectEmit(true, true, false, false, address(waybills));
        emit IWaybillRegistry.WaybillRefused(2, WaybillId.wrap(hash(f[2])), "");
        assertEq(waybills.issueBatch(f, a, b, false), 2);
        assertState(WaybillId.wrap(hash(f[1])), WaybillState.Issued);
        assertState(WaybillId.wrap(hash(f[2])), WaybillState.None);
    }

    function test_issueBatch_all_or_nothing_passes_the_reason_on() public {
        (Waybill[] memory f, bytes[] memory a, bytes[] memory b) = _batch();
        b[2] = b[1];
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(waybills), abi.encodeCall(waybills.issueBatch, (f, a, b, true)));
        assertState(WaybillId.wrap(hash(f[0])), WaybillState.None);
        _refusedField("signatures");
        submit(address(waybills), abi.encodeCall(waybills.issueBatch, (f, a, new bytes[](2), true)));
    }

    // -- amend ------------------------------------------------------------------------------------

    function test_amend_replaces_the_terms_and_counts_the_version() public {
        issueChain();
        Amendment memory f = amendmentOf(leaf);
        f.freight = MID_FREIGHT;
        f.vehicle = keccak256("other vehicle");
        f.plan = keccak256("other plan");
        amend(f);
        (uint32 version, bytes32 vehicle, bytes32 plan, bytes32 policy) = waybills.tripTerms(TRIP);
        assertEq(version, 2);
        assertEq(vehicle, f.vehicle);
        assertEq(plan, f.plan);
        assertEq(policy, POLICY);
        assertEq(waybills.get(mid).childFreight, MID_FREIGHT);
        refused(abi.encodeWithSelector(IWaybillRegistry.WaybillVersionStale.selector, leaf, 2, 1));
        amend(f);
    }

    function test_amend_keeps_the_chain_closed() public {
        issueChain();
        Amendment memory f = amendmentOf(leaf);
        f.freight = MID_FREIGHT + 1;
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillFreightExceedsParent.selector,
                mid,
                MID_FREIGHT + 1,
                MID_FREIGHT
            )
        );
        amend(f);
        f = amendmentOf(mid);
        f.freight = LEAF_FREIGHT - 1;
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillChildrenExceed.selector, mid, LEAF_FREIGHT, LEAF_FREIGHT - 1
            )
        );
        amend(f);
        f = amendmentOf(mid);
        f.quantity--;
        refused(IWaybillRegistry.WaybillChildrenExceed.selector);
        amend(f);
        f = amendmentOf(mid);
        f.deliverBy--;
        refused(IWaybillRegistry.WaybillWindowOutsideParent.selector);
        amend(f);
        f = amendmentOf(mid);
        f.deliverBy++;
        refused(IWaybillRegistry.WaybillWindowOutsideParent.selector);
        amend(f);
        f = amendmentOf(mid);
        f.vehicle = VEHICLE;
        _refusedField("vehicle");
        amend(f);
        f = amendmentOf(leaf);
        f.plan = 0;
        _refusedField("plan");
        amend(f);
        f = amendmentOf(leaf);
        f.expires = uint64(block.timestamp) - 1;
        refused(IWaybillRegistry.WaybillFormExpired.selector);
        amend(f);
    }

    function test_amend_is_refused_once_loaded_and_for_the_unknown() public {
        issueChain();
        Amendment memory f = amendmentOf(leaf);
        load(loadingOf(TRIP));
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillUnexpectedState.selector,
                leaf,
                WaybillState.InTransit,
                WaybillState.Issued
            )
        );
        amend(f);
        f.waybill = WaybillId.wrap("nowhere");
        refused(IWaybillRegistry.WaybillUnknown.selector);
        amend(f);
    }

    function test_amend_of_a_pledged_waybill_needs_the_lender() public {
        approvedAdvance();
        Amendment memory f = amendmentOf(mid);
        bytes32 h = hash(f);
        bytes memory a = sign(CARRIER, address(waybills), h);
        bytes memory b = sign(SUB, address(waybills), h);
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(waybills), abi.encodeCall(waybills.amend, (f, a, b, "")));
        amend(f);
        assertEq(waybills.get(mid).version, 2);
    }

    // -- cancel -----------------------------------------------------------------------------------

    function test_cancel_gives_the_share_back_to_the_parent() public {
        issueChain();
        refused(abi.encodeWithSelector(IWaybillRegistry.WaybillChildrenExceed.selector, mid, 1, 0));
        cancel(mid);
        cancel(leaf);
        assertState(TRIP, TripState.Void);
        assertEq(waybills.get(mid).childFreight, 0);
        assertEq(waybills.get(mid).children, 0);
        cancel(mid);
        cancel(root);
        assertState(root, WaybillState.Cancelled);
    }

    function test_cancel_refuses_a_truck_on_the_road_and_a_pledged_waybill() public {
        approvedAdvance();
        load(loadingOf(TRIP));
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillUnexpectedState.selector,
                leaf,
                WaybillState.InTransit,
                WaybillState.Issued
            )
        );
        cancel(leaf);
        Dispute memory d = disputeOf(TRIP, DRIVER);
        dispute(d);
        resolveByArbiter(TRIP, 2);
        refused(
            abi.encodeWithSelector(IWaybillRegistry.WaybillPledgedElsewhere.selector, mid, LENDER)
        );
        cancel(mid);
        submit(address(advances), abi.encodeCall(advances.expire, (advances.advanceOf(TRIP))));
        cancel(mid); // in transit, every trip below void, no pledge
        assertState(mid, WaybillState.Cancelled);
    }

    // -- credit -----------------------------------------------------------------------------------

    function test_credit_lowers_what_is_owed() public {
        issueChain();
        CreditNote memory f = creditNote(mid, 100_00);
        credit(f);
        refused(IWaybillRegistry.WaybillFormUsed.selector);
        credit(f);
        deliver(TRIP, QUANTITY);
        assertEq(waybills.outstanding(mid), MID_FREIGHT - 100_00);
        credit(creditNote(mid, MID_FREIGHT - 100_00));
        assertState(mid, WaybillState.Paid);
        refused(IWaybillRegistry.WaybillUnexpectedState.selector);
        credit(creditNote(mid, 1));
    }

    function test_credit_is_bounded_and_needs_the_pledgee() public {
        approvedAdvance();
        refused(
            abi.encodeWithSelector(
                IWaybillRegistry.WaybillOverpaid.selector, mid, MID_FREIGHT, MID_FREIGHT + 1
            )
        );
        credit(creditNote(mid, MID_FREIGHT + 1));
        _refusedField("amount");
        credit(creditNote(mid, 0));
        CreditNote memory f = creditNote(mid, 1);
        bytes32 h = hash(f);
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(
            address(waybills),
            abi.encodeCall(
                waybills.credit,
                (
                    f,
                    sign(CARRIER, address(waybills), h),
                    sign(SUB, address(waybills), h),
                    sign(SUB, address(waybills), h)
                )
            )
        );
        f = creditNote(mid, 1);
        f.expires = uint64(block.timestamp) - 1;
        refused(IWaybillRegistry.WaybillFormExpired.selector);
        credit(f);
    }

    // -- records ----------------------------------------------------------------------------------

    function test_records_are_for_the_contracts_above_only() public {
        issueChain();
        bytes memory error_ =
            abi.encodeWithSelector(IWaybillRegistry.WaybillCallerNotAllowed.selector, relayer);
        refused(error_);
        submit(address(waybills), abi.encodeCall(waybills.recordLoading, (TRIP)));
        refused(error_);
        submit(address(waybills), abi.encodeCall(waybills.recordDelivery, (TRIP, 1, 1)));
        refused(error_);
        submit(address(waybills), abi.encodeCall(waybills.recordVoid, (TRIP)));
        refused(error_);
        submit(address(waybills), abi.encodeCall(waybills.recordPaid, (leaf, 1)));
        refused(error_);
        submit(address(waybills), abi.encodeCall(waybills.pledge, (leaf, LENDER)));
        refused(error_);
        submit(address(waybills), abi.encodeCall(waybills.release, (leaf, LENDER)));
    }

    function test_recordPaid_never_exceeds_what_is_owed() public {
        issueChain();
        vm.prank(address(settlement));
        vm.expectRevert(
            abi.encodeWithSelector(IWaybillRegistry.WaybillOverpaid.selector, leaf, 0, 1)
        );
        waybills.recordPaid(leaf, 1);
    }

    function test_pledge_is_one_lenders_at_a_time() public {
        issueChain();
        vm.startPrank(address(advances));
        waybills.pledge(mid, LENDER);
        waybills.pledge(mid, LENDER);
        bytes memory error_ =
            abi.encodeWithSelector(IWaybillRegistry.WaybillPledgedElsewhere.selector, mid, LENDER);
        vm.expectRevert(error_);
        waybills.pledge(mid, LENDER2);
        vm.expectRevert(error_);
        waybills.release(mid, LENDER2);
        assertTrue(waybills.get(mid).pledgee == LENDER);
        waybills.release(mid, LENDER);
        assertTrue(waybills.get(mid).pledgee == NOBODY);
        vm.expectRevert(
            abi.encodeWithSelector(IWaybillRegistry.WaybillPledgedElsewhere.selector, mid, NOBODY)
        );
        waybills.release(mid, NOBODY);
        waybills.pledge(mid, LENDER2);
        vm.stopPrank();
    }

    function test_a_parent_is_delivered_by_the_sum_of_its_leaves() public {
        root = issue(rootForm());
        mid = issue(midForm(root));
        TripId[2] memory trips = [TRIP, TripId.wrap("trip 2")];
        for (uint256 i = 0; i < 2; i++) {
            Waybill memory f = leafForm(mid);
            (f.freight, f.quantity, f.trip) = (LEAF_FREIGHT / 2, QUANTITY / 2, trips[i]);
            f.vehicle = keccak256(abi.encode("vehicle", i));
            leaf = issue(f);
            deliver(trips[i], QUANTITY / 2 - uint64(i) * 1_000_000);
            assertState(leaf, WaybillState.Delivered);
            assertState(mid, i == 0 ? WaybillState.InTransit : WaybillState.Delivered);
        }
        assertEq(
            waybills.outstanding(mid), uint256(MID_FREIGHT) * (QUANTITY - 1_000_000) / QUANTITY
        );
    }
}
