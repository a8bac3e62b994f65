// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {IDeliveryRegistry, TripRecord, Watch} from "contracts/interfaces/IDeliveryRegistry.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";

/// @title Trips at their bounds: the last second and the last kilogram that are taken
contract DeliveryBoundsTest is Base {
    function setUp() public override {
        super.setUp();
        issueChain();
    }

    function _watch(PartyId attestor, PartyId reviewer, PartyId standIn) internal {
        vm.prank(address(advances));
        deliveries.watch(TRIP, Watch(address(advances), attestor, reviewer, standIn));
    }

    function _say(PartyId who, bytes32 road, Verdict verdict) internal {
        Attestation memory f = attestationOf(TRIP, who);
        (f.root, f.verdict) = (road, uint8(verdict));
        attest(f);
    }

    // -- loading and track ------------------------------------------------------------------------

    function test_clocks_may_run_ahead_by_five_minutes_and_no_more() public {
        Loading memory l = loadingOf(TRIP);
        (l.at, l.expires) = (uint64(block.timestamp) + 5 minutes, uint64(block.timestamp));
        load(l);
        assertEq(deliveries.get(TRIP).loadedAt, l.at);
        TrackBatch memory b = batchOf(TRIP, 0);
        (b.firstTime, b.lastTime) =
        (uint64(block.timestamp) + 5 minutes, uint64(block.timestamp) + 5 minutes);
        commit(b);
        b = batchOf(TRIP, 1);
        b.lastTime = uint64(block.timestamp) + 5 minutes + 1;
        refused(IDeliveryRegistry.TrackBatchSpanInvalid.selector);
        commit(b);
        Confirmation memory c = confirmationOf(TRIP);
        c.at = uint64(block.timestamp) + 5 minutes + 1;
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.TripTimeInvalid.selector, TRIP, c.at, block.timestamp
            )
        );
        confirm(c);
        (c.at, c.condition, c.expires) = (l.at, 3, uint64(block.timestamp)); // as loaded, no earlier
        confirm(c);
        assertEq(deliveries.get(TRIP).accepted, QUANTITY);
    }

    function test_a_void_trip_is_not_loaded_again() public {
        Loading memory l = loadingOf(TRIP);
        load(l);
        dispute(disputeOf(TRIP, DRIVER));
        resolveByArbiter(TRIP, 2);
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.TripUnexpectedState.selector, TRIP, TripState.Void, TripState.Open
            )
        );
        load(l);
    }

    function test_the_first_batch_has_the_index_zero() public {
        load(loadingOf(TRIP));
        TrackBatch memory b = batchOf(TRIP, 1);
        refused(abi.encodeWithSelector(IDeliveryRegistry.TrackBatchOutOfOrder.selector, TRIP, 0, 1));
        commit(b);
        b.index = type(uint32).max;
        refused(IDeliveryRegistry.TrackBatchOutOfOrder.selector);
        commit(b);
        b = batchOf(TRIP, 0);
        bytes memory s = sign(ATTESTOR2, address(deliveries), hash(b));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(deliveries), abi.encodeCall(deliveries.commitTrack, (b, s)));
        commit(b);
        commit(batchOf(TRIP, 1));
        b = batchOf(TRIP, 0); // the same again, but no longer the last
        refused(abi.encodeWithSelector(IDeliveryRegistry.TrackBatchOutOfOrder.selector, TRIP, 2, 0));
        commit(b);
    }

    // -- verdicts ---------------------------------------------------------------------------------

    function test_without_a_track_nothing_but_a_failure_is_said() public {
        load(loadingOf(TRIP));
        Attestation memory f = attestationOf(TRIP, ATTESTOR1);
        f.root = 0;
        refused(abi.encodeWithSelector(IDeliveryRegistry.VerdictInvalid.selector, f.verdict));
        attest(f);
        (f.verdict, f.expires) = (uint8(Verdict.Fail), uint64(block.timestamp));
        attest(f);
        assertFalse(deliveries.isAgreed(TRIP));
    }

    function test_any_two_of_three_agree_and_the_trip_keeps_their_road() public {
        load(loadingOf(TRIP));
        _say(ATTESTOR1, "a road", Verdict.Pass);
        _say(ATTESTOR2, ROOT_HASH, Verdict.Pass);
        assertFalse(deliveries.isAgreed(TRIP));
        _say(ATTESTOR3, ROOT_HASH, Verdict.Pass); // the last two of the list
        assertTrue(deliveries.isAgreed(TRIP));
        assertEq(deliveries.get(TRIP).root, 0, "no road before completion");
        confirm(confirmationOf(TRIP));
        assertEq(deliveries.get(TRIP).root, ROOT_HASH, "not the one that was said first");
    }

    function test_two_who_find_different_things_do_not_agree() public {
        load(loadingOf(TRIP));
        _say(ATTESTOR1, ROOT_HASH, Verdict.Pass);
        Attestation memory f = attestationOf(TRIP, ATTESTOR2);
        f.findings = "other findings";
        attest(f);
        assertFalse(deliveries.isAgreed(TRIP));
        _say(ATTESTOR2, ROOT_HASH, Verdict.Review); // the same, with another verdict
        assertFalse(deliveries.isAgreed(TRIP));
    }

    /// @dev Pass, then on second thoughts fail: whoever kept the first paper cannot make it count again.
    function test_a_word_taken_back_is_not_played_again() public {
        load(loadingOf(TRIP));
        confirm(confirmationOf(TRIP));
        Attestation memory pass = attestationOf(TRIP, ATTESTOR1);
        bytes memory s = sign(ATTESTOR1, address(deliveries), hash(pass));
        submit(address(deliveries), abi.encodeCall(deliveries.attest, (pass, s)));
        _say(ATTESTOR1, ROOT_HASH, Verdict.Fail);
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.DeliveryFormUsed.selector,
                digestOf(address(deliveries), hash(pass))
            )
        );
        submit(address(deliveries), abi.encodeCall(deliveries.attest, (pass, s)));
        attest(attestationOf(TRIP, ATTESTOR2));
        assertState(TRIP, TripState.Loaded);
        attest(attestationOf(TRIP, ATTESTOR1)); // his own new word is another paper
        assertState(TRIP, TripState.Delivered);
    }

    function test_an_acceptance_that_was_replaced_is_not_played_again() public {
        _watch(ATTESTOR1, LENDER, CARRIER);
        load(loadingOf(TRIP));
        ReviewAcceptance memory f = ReviewAcceptance(TRIP, ROOT_HASH, FINDINGS, soon(), salt());
        bytes memory s = sign(LENDER, address(deliveries), hash(f));
        submit(address(deliveries), abi.encodeCall(deliveries.acceptReview, (f, s)));
        ReviewAcceptance memory g = ReviewAcceptance(TRIP, "other", FINDINGS, soon(), salt());
        bytes memory z = sign(LENDER, address(deliveries), hash(g));
        submit(address(deliveries), abi.encodeCall(deliveries.acceptReview, (g, z)));
        refused(IDeliveryRegistry.DeliveryFormUsed.selector);
        submit(address(deliveries), abi.encodeCall(deliveries.acceptReview, (f, s)));
        _watch(ATTESTOR1, LENDER, CARRIER); // a second advance of the same lender: his word anew
        refused(IDeliveryRegistry.DeliveryFormUsed.selector);
        submit(address(deliveries), abi.encodeCall(deliveries.acceptReview, (g, z)));
    }

    function test_an_attestor_of_the_very_second_of_issue_counts() public {
        vm.prank(admin);
        deliveries.addAttestor(LENDER);
        load(loadingOf(TRIP));
        attest(attestationOf(TRIP, LENDER));
        attest(attestationOf(TRIP, ATTESTOR1));
        assertTrue(deliveries.isAgreed(TRIP));
    }

    function test_removing_one_attestor_leaves_the_others() public {
        vm.prank(admin);
        deliveries.removeAttestor(ATTESTOR1);
        PartyId[] memory left = deliveries.attestors();
        assertEq(left.length, 2);
        assertTrue(left[0] == ATTESTOR3 && left[1] == ATTESTOR2);
        assertTrue(deliveries.isAttestor(ATTESTOR2) && deliveries.isAttestor(ATTESTOR3));
        load(loadingOf(TRIP));
        attest(attestationOf(TRIP, ATTESTOR2));
        attest(attestationOf(TRIP, ATTESTOR3));
        assertTrue(deliveries.isAgreed(TRIP));
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(IDeliveryRegistry.AttestorUnknown.selector, NOBODY));
        deliveries.addAttestor(NOBODY);
        vm.stopPrank();
    }

    function test_a_new_watch_forgets_what_the_lender_before_it_accepted() public {
        _watch(ATTESTOR1, LENDER, CARRIER);
        load(loadingOf(TRIP));
        _say(ATTESTOR1, ROOT_HASH, Verdict.Review);
        _say(ATTESTOR2, ROOT_HASH, Verdict.Review);
        ReviewAcceptance memory f =
            ReviewAcceptance(TRIP, ROOT_HASH, FINDINGS, uint64(block.timestamp), salt());
        bytes memory s = sign(LENDER, address(deliveries), hash(f));
        submit(address(deliveries), abi.encodeCall(deliveries.acceptReview, (f, s)));
        assertTrue(deliveries.isAgreed(TRIP));
        vm.recordLogs();
        submit(address(deliveries), abi.encodeCall(deliveries.acceptReview, (f, s)));
        assertEq(vm.getRecordedLogs().length, 0, "again: nothing happens");
        _watch(ATTESTOR1, LENDER2, CARRIER);
        assertFalse(deliveries.isAgreed(TRIP));
        f.expires = uint64(block.timestamp) - 1;
        refused(IDeliveryRegistry.DeliveryFormExpired.selector);
        submit(address(deliveries), abi.encodeCall(deliveries.acceptReview, (f, s)));
    }

    function test_what_the_lender_accepted_stands_in_for_his_attestor() public {
        _watch(ATTESTOR1, LENDER, CARRIER);
        load(loadingOf(TRIP));
        confirm(confirmationOf(TRIP));
        _say(ATTESTOR2, ROOT_HASH, Verdict.Pass);
        _say(ATTESTOR3, ROOT_HASH, Verdict.Pass);
        assertState(TRIP, TripState.Loaded);
        ReviewAcceptance memory f = ReviewAcceptance(TRIP, ROOT_HASH, FINDINGS, soon(), salt());
        bytes memory s = sign(LENDER, address(deliveries), hash(f));
        submit(address(deliveries), abi.encodeCall(deliveries.acceptReview, (f, s)));
        assertState(TRIP, TripState.Delivered);
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.TripUnexpectedState.selector,
                TRIP,
                TripState.Delivered,
                TripState.Loaded
            )
        );
        f.root = "another road";
        submit(address(deliveries), abi.encodeCall(deliveries.acceptReview, (f, s)));
    }

    // -- receipt ----------------------------------------------------------------------------------

    function test_a_receipt_once_signed_changes_in_nothing() public {
        load(loadingOf(TRIP));
        Confirmation memory f = confirmationOf(TRIP);
        confirm(f);
        bytes memory other =
            abi.encodeWithSelector(IDeliveryRegistry.TripAlreadyConfirmed.selector, TRIP);
        f.condition = 1;
        refused(other);
        confirm(f);
        (f.condition, f.at) = (0, f.at + 1);
        refused(other);
        confirm(f);
        (f.at, f.accepted) = (f.at - 1, f.accepted - 1);
        refused(other);
        confirm(f);
    }

    function test_nobody_confirms_where_nobody_stands_in() public {
        load(loadingOf(TRIP));
        Confirmation memory f = confirmationOf(TRIP);
        f.by = NOBODY;
        bytes memory s = sign(CONSIGNEE, address(deliveries), hash(f));
        refused(
            abi.encodeWithSelector(IDeliveryRegistry.TripConfirmerNotAllowed.selector, TRIP, NOBODY)
        );
        submit(address(deliveries), abi.encodeCall(deliveries.confirm, (f, s)));
        f = confirmationOf(TRIP);
        s = sign(DRIVER, address(deliveries), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(deliveries), abi.encodeCall(deliveries.confirm, (f, s)));
    }

    function test_completion_says_how_much_gas_a_listener_needs() public {
        _watch(ATTESTOR1, LENDER, CARRIER);
        load(loadingOf(TRIP));
        drive(TRIP);
        Confirmation memory f = confirmationOf(TRIP);
        bytes memory data =
            abi.encodeCall(deliveries.confirm, (f, sign(CONSIGNEE, address(deliveries), hash(f))));
        (bool accepted, bytes memory why) = address(deliveries).call{gas: 1_500_000}(data);
        assertFalse(accepted);
        (, uint256 least) = this.factsOf(why);
        assertEq(least, uint256(2_000_000) * 64 / 63 + 10_000);
    }

    /// @dev The two numbers of an error, behind its selector.
    function factsOf(bytes calldata why) external pure returns (uint256 left, uint256 least) {
        return abi.decode(why[4:], (uint256, uint256));
    }

    // -- dispute and end --------------------------------------------------------------------------

    function test_a_resolution_serves_once_and_is_signed_as_it_says() public {
        load(loadingOf(TRIP));
        dispute(disputeOf(TRIP, CONSIGNEE));
        Resolution memory f = resolutionOf(TRIP, 0);
        bytes[] memory s = new bytes[](1);
        s[0] = sign(ARBITER, address(deliveries), hash(f));
        refused(abi.encodeWithSelector(IDeliveryRegistry.TripOutcomeInvalid.selector, TRIP, 0));
        submit(address(deliveries), abi.encodeCall(deliveries.resolve, (f, s, true)));
        f = resolutionOf(TRIP, 1);
        f.expires = uint64(block.timestamp);
        s[0] = sign(ARBITER, address(deliveries), hash(f));
        refused(abi.encodeWithSelector(IDeliveryRegistry.TripSignaturesMissing.selector, TRIP));
        submit(address(deliveries), abi.encodeCall(deliveries.resolve, (f, s, false)));
        bytes[] memory both = new bytes[](2);
        (both[0], both[1]) = (s[0], s[0]);
        refused(abi.encodeWithSelector(IDeliveryRegistry.TripSignaturesMissing.selector, TRIP));
        submit(address(deliveries), abi.encodeCall(deliveries.resolve, (f, both, true)));
        s[0] = sign(CONSIGNEE, address(deliveries), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(deliveries), abi.encodeCall(deliveries.resolve, (f, s, true)));
        s[0] = sign(ARBITER, address(deliveries), hash(f));
        submit(address(deliveries), abi.encodeCall(deliveries.resolve, (f, s, true)));
        dispute(disputeOf(TRIP, CONSIGNEE));
        refused(IDeliveryRegistry.DeliveryFormUsed.selector);
        submit(address(deliveries), abi.encodeCall(deliveries.resolve, (f, s, true)));
        f.expires = uint64(block.timestamp) - 1;
        refused(IDeliveryRegistry.DeliveryFormExpired.selector);
        submit(address(deliveries), abi.encodeCall(deliveries.resolve, (f, s, true)));
    }

    function test_the_disputer_signs_first_and_his_counterpart_second() public {
        load(loadingOf(TRIP));
        dispute(disputeOf(TRIP, SUB)); // neither driver nor consignee: the driver answers
        Resolution memory f = resolutionOf(TRIP, 1);
        bytes[] memory s = new bytes[](2);
        s[0] = sign(DRIVER, address(deliveries), hash(f));
        s[1] = sign(SUB, address(deliveries), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(deliveries), abi.encodeCall(deliveries.resolve, (f, s, false)));
        (s[0], s[1]) = (s[1], s[0]);
        submit(address(deliveries), abi.encodeCall(deliveries.resolve, (f, s, false)));
        assertState(TRIP, TripState.Loaded);
        assertFalse(deliveries.get(TRIP).disputed);
    }

    function test_a_trip_never_loaded_expires_with_its_leaf() public {
        vm.warp(START + 3 days + 14 days);
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.TripTimeInvalid.selector, TRIP, block.timestamp, block.timestamp
            )
        );
        submit(address(deliveries), abi.encodeCall(deliveries.expire, (TRIP)));
        vm.warp(block.timestamp + 1);
        submit(address(deliveries), abi.encodeCall(deliveries.expire, (TRIP)));
        assertState(TRIP, TripState.Void);
        assertState(leaf, WaybillState.Cancelled);
    }

    function test_a_trip_voided_frees_its_own_vehicle_alone() public {
        load(loadingOf(TRIP));
        // Another trip of the same truck, not loaded while this one is.
        Waybill memory w = rootForm();
        (w.performer, w.deliverBy) = (LENDER, START + 1 hours);
        (w.trip, w.vehicle, w.plan, w.policy) = (TripId.wrap("2"), VEHICLE, PLAN, POLICY);
        issue(w);
        vm.warp(START + 1 hours + 14 days + 1);
        submit(address(deliveries), abi.encodeCall(deliveries.expire, (w.trip)));
        assertTrue(deliveries.tripOfVehicle(VEHICLE) == TRIP, "it never had the truck");
    }

    // -- reading ----------------------------------------------------------------------------------

    function test_get_shows_the_whole_record() public {
        assertState(TripId.wrap("nowhere"), TripState.None);
        load(loadingOf(TRIP));
        uint64 loadedAt = uint64(block.timestamp);
        drive(TRIP);
        Confirmation memory f = confirmationOf(TRIP);
        (f.accepted, f.condition) = (QUANTITY - 9, 1);
        confirm(f);
        TripRecord memory t = deliveries.get(TRIP);
        assertEq(uint8(t.state), uint8(TripState.Delivered));
        assertTrue(t.confirmed && !t.disputed);
        assertEq(t.loaded, QUANTITY);
        assertEq(t.accepted, QUANTITY - 9);
        assertEq(t.condition, 1);
        assertEq(t.loadedAt, loadedAt);
        assertEq(t.deliveredAt, block.timestamp);
        assertEq(t.batches, 3);
        assertEq(t.committedTo, block.timestamp);
        assertEq(t.root, ROOT_HASH);
        assertEq(t.vehicle, VEHICLE);
        (TripState state, bool disputed, uint64 accepted, uint64 loaded, uint64 at) =
            deliveries.outcomeOf(TRIP);
        assertEq(uint8(state), uint8(TripState.Delivered));
        assertFalse(disputed);
        assertEq(accepted, QUANTITY - 9);
        assertEq(loaded, QUANTITY);
        assertEq(at, block.timestamp);
    }

    function test_watchOf_shows_whom_the_lender_chose() public {
        assertEq(deliveries.watchOf(TRIP).listener, address(0));
        _watch(ATTESTOR2, LENDER, CARRIER);
        Watch memory w = deliveries.watchOf(TRIP);
        assertEq(w.listener, address(advances));
        assertTrue(w.attestor == ATTESTOR2 && w.reviewer == LENDER && w.standIn == CARRIER);
    }
}
