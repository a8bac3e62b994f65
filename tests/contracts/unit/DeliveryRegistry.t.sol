// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IDeliveryRegistry, TripRecord, Watch} from "contracts/interfaces/IDeliveryRegistry.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";

contract DeliveryRegistryTest is Base {
    function setUp() public override {
        super.setUp();
        issueChain();
    }

    function _refusedState(TripState current, TripState wanted) internal {
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.TripUnexpectedState.selector, TRIP, current, wanted
            )
        );
    }

    // -- load -------------------------------------------------------------------------------------

    function test_load_puts_the_chain_in_transit_and_locks_the_vehicle() public {
        assertState(TRIP, TripState.Open);
        Loading memory f = loadingOf(TRIP);
        load(f);
        assertState(TRIP, TripState.Loaded);
        assertState(root, WaybillState.InTransit);
        assertTrue(deliveries.tripOfVehicle(VEHICLE) == TRIP);
        vm.recordLogs();
        load(f); // again: nothing happens
        assertEq(vm.getRecordedLogs().length, 0);
    }

    function test_load_refuses_what_the_waybill_does_not_say() public {
        Loading memory f = loadingOf(TRIP);
        f.version = 2;
        refused(abi.encodeWithSelector(IDeliveryRegistry.TripVersionStale.selector, TRIP, 1, 2));
        load(f);
        f = loadingOf(TRIP);
        f.vehicle = "other";
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.TripVehicleDiffers.selector, TRIP, VEHICLE, f.vehicle
            )
        );
        load(f);
        f = loadingOf(TRIP);
        f.quantity--;
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.TripQuantityDiffers.selector, TRIP, QUANTITY, QUANTITY - 1
            )
        );
        load(f);
        f = loadingOf(TRIP);
        f.at = START - 1;
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.TripTimeInvalid.selector, TRIP, START - 1, block.timestamp
            )
        );
        load(f);
        f.at = uint64(block.timestamp) + 6 minutes;
        refused(IDeliveryRegistry.TripTimeInvalid.selector);
        load(f);
        f = loadingOf(TRIP);
        f.expires = uint64(block.timestamp) - 1;
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.DeliveryFormExpired.selector, f.expires, block.timestamp
            )
        );
        load(f);
        f = loadingOf(TRIP);
        bytes memory s = sign(SUB, address(deliveries), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(deliveries), abi.encodeCall(deliveries.load, (f, s)));
        f.trip = TripId.wrap("nowhere");
        refused(abi.encodeWithSelector(IDeliveryRegistry.TripUnknown.selector, f.trip));
        submit(address(deliveries), abi.encodeCall(deliveries.load, (f, s)));
    }

    function test_load_refuses_a_second_loading_and_a_cancelled_leaf() public {
        Loading memory f = loadingOf(TRIP);
        load(f);
        f.at++;
        _refusedState(TripState.Loaded, TripState.Open);
        load(f);
    }

    function test_load_refuses_a_cancelled_leaf() public {
        Loading memory f = loadingOf(TRIP);
        cancel(leaf);
        _refusedState(TripState.Void, TripState.Open);
        load(f);
    }

    function test_load_refuses_a_vehicle_on_another_trip() public {
        load(loadingOf(TRIP));
        Waybill memory w = rootForm();
        w.performer = LENDER;
        (w.trip, w.vehicle, w.plan, w.policy) = (TripId.wrap("2"), VEHICLE, PLAN, POLICY);
        issue(w);
        Loading memory f = loadingOf(w.trip);
        refused(abi.encodeWithSelector(IDeliveryRegistry.VehicleBusy.selector, VEHICLE, TRIP));
        load(f);
        drive(TRIP);
        confirm(confirmationOf(TRIP));
        load(f); // free again
    }

    // -- track ------------------------------------------------------------------------------------

    function test_commitTrack_chains_batches_in_order() public {
        load(loadingOf(TRIP));
        bytes32 head;
        for (uint32 i = 0; i < 3; i++) {
            vm.warp(block.timestamp + 60);
            TrackBatch memory f = batchOf(TRIP, i);
            commit(f);
            head = keccak256(abi.encode(head, i, f.root, f.count, f.firstTime, f.lastTime));
            assertEq(deliveries.trackHead(TRIP), head);
            vm.recordLogs();
            commit(f); // again: nothing happens
            assertEq(vm.getRecordedLogs().length, 0);
        }
        assertEq(deliveries.get(TRIP).batches, 3);
        assertEq(deliveries.get(TRIP).committedTo, block.timestamp);
        TrackBatch memory g = batchOf(TRIP, 2);
        g.root = "other";
        refused(abi.encodeWithSelector(IDeliveryRegistry.TrackBatchOutOfOrder.selector, TRIP, 3, 2));
        commit(g);
    }

    function test_commitTrack_takes_a_late_batch_from_a_blind_area() public {
        load(loadingOf(TRIP));
        vm.warp(block.timestamp + 600);
        commit(batchOf(TRIP, 0));
        TrackBatch memory f = batchOf(TRIP, 1);
        (f.firstTime, f.lastTime) = (START, START + 10);
        commit(f);
        assertEq(deliveries.get(TRIP).committedTo, block.timestamp);
    }

    function test_commitTrack_refuses_spans_strangers_and_trips_not_loaded() public {
        TrackBatch memory f = batchOf(TRIP, 0);
        _refusedState(TripState.Open, TripState.Loaded);
        commit(f);
        load(loadingOf(TRIP));
        f.firstTime = f.lastTime + 1;
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.TrackBatchSpanInvalid.selector, TRIP, f.firstTime, f.lastTime
            )
        );
        commit(f);
        f = batchOf(TRIP, 0);
        f.lastTime = uint64(block.timestamp) + 1 hours;
        refused(IDeliveryRegistry.TrackBatchSpanInvalid.selector);
        commit(f);
        f = batchOf(TRIP, 0);
        f.count = 0;
        refused(IDeliveryRegistry.TrackBatchSpanInvalid.selector);
        commit(f);
        f = batchOf(TRIP, 0);
        f.attestor = LENDER;
        refused(abi.encodeWithSelector(IDeliveryRegistry.AttestorUnknown.selector, LENDER));
        commit(f);
        f = batchOf(TripId.wrap("nowhere"), 0);
        refused(IDeliveryRegistry.TripUnknown.selector);
        commit(f);
    }

    function test_proveFix_finds_a_fix_in_a_standard_merkle_tree() public view {
        bytes32 a = keccak256(
            bytes.concat(keccak256(abi.encode(uint32(0), uint64(5), int32(-1), int32(2))))
        );
        bytes32 b = keccak256("sibling");
        bytes32 top = a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = b;
        assertTrue(deliveries.proveFix(top, proof, 0, 5, -1, 2));
        assertFalse(deliveries.proveFix(top, proof, 0, 5, -1, 3));
    }

    // -- attest -----------------------------------------------------------------------------------

    function test_attest_counts_two_that_agree() public {
        load(loadingOf(TRIP));
        attest(attestationOf(TRIP, ATTESTOR1));
        assertFalse(deliveries.isAgreed(TRIP));
        Attestation memory f = attestationOf(TRIP, ATTESTOR2);
        f.root = "another road";
        attest(f);
        assertFalse(deliveries.isAgreed(TRIP));
        attest(attestationOf(TRIP, ATTESTOR3));
        assertTrue(deliveries.isAgreed(TRIP));
        vm.recordLogs();
        attest(attestationOf(TRIP, ATTESTOR3)); // again: nothing happens
        assertEq(vm.getRecordedLogs().length, 0);
    }

    function test_attest_of_fail_or_of_other_findings_never_completes() public {
        load(loadingOf(TRIP));
        confirm(confirmationOf(TRIP));
        PartyId[3] memory who = [ATTESTOR1, ATTESTOR2, ATTESTOR3];
        for (uint8 i = 0; i < 3; i++) {
            Attestation memory f = attestationOf(TRIP, who[i]);
            f.verdict = i == 0 ? uint8(Verdict.Pass) : uint8(Verdict.Fail);
            attest(f);
        }
        assertState(TRIP, TripState.Loaded);
        attest(attestationOf(TRIP, ATTESTOR2)); // he changes his mind before completion
        assertState(TRIP, TripState.Delivered);
    }

    function test_attest_after_completion_is_evidence_and_changes_nothing() public {
        deliver(TRIP, QUANTITY);
        Attestation memory f = attestationOf(TRIP, ATTESTOR3);
        f.verdict = uint8(Verdict.Fail);
        attest(f);
        assertState(TRIP, TripState.Delivered);
        f = attestationOf(TRIP, ATTESTOR1);
        f.verdict = uint8(Verdict.Fail);
        _refusedState(TripState.Delivered, TripState.Loaded);
        attest(f);
    }

    function test_attest_refuses_what_the_waybill_does_not_say() public {
        load(loadingOf(TRIP));
        Attestation memory f = attestationOf(TRIP, ATTESTOR1);
        f.verdict = 4;
        refused(abi.encodeWithSelector(IDeliveryRegistry.VerdictInvalid.selector, 4));
        attest(f);
        f.verdict = 0;
        refused(IDeliveryRegistry.VerdictInvalid.selector);
        attest(f);
        f = attestationOf(TRIP, ATTESTOR1);
        f.version++;
        refused(IDeliveryRegistry.TripVersionStale.selector);
        attest(f);
        f = attestationOf(TRIP, ATTESTOR1);
        f.vehicle = "other";
        refused(IDeliveryRegistry.TripVehicleDiffers.selector);
        attest(f);
        f = attestationOf(TRIP, ATTESTOR1);
        f.plan = "other";
        refused(
            abi.encodeWithSelector(IDeliveryRegistry.TripPlanDiffers.selector, TRIP, PLAN, f.plan)
        );
        attest(f);
        f = attestationOf(TRIP, ATTESTOR1);
        f.policy = "other";
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.TripPolicyDiffers.selector, TRIP, POLICY, f.policy
            )
        );
        attest(f);
        f = attestationOf(TRIP, ATTESTOR1);
        f.expires = 1;
        refused(IDeliveryRegistry.DeliveryFormExpired.selector);
        attest(f);
        f = attestationOf(TRIP, STRANGER);
        refused(IDeliveryRegistry.AttestorUnknown.selector);
        attest(f);
        f = attestationOf(TRIP, ATTESTOR1);
        bytes memory s = sign(ATTESTOR2, address(deliveries), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(deliveries), abi.encodeCall(deliveries.attest, (f, s)));
    }

    function test_the_last_two_of_five_attestors_agree_as_well_as_the_first() public {
        vm.startPrank(admin);
        deliveries.addAttestor(CUSTODIAN1);
        deliveries.addAttestor(CUSTODIAN2);
        vm.stopPrank();
        load(loadingOf(TRIP));
        confirm(confirmationOf(TRIP));
        attest(attestationOf(TRIP, CUSTODIAN1));
        assertFalse(deliveries.isAgreed(TRIP));
        attest(attestationOf(TRIP, CUSTODIAN2));
        assertState(TRIP, TripState.Delivered);
    }

    function test_attest_refuses_a_party_of_the_chain_and_one_added_later() public {
        load(loadingOf(TRIP));
        vm.prank(admin);
        deliveries.addAttestor(CARRIER);
        refused(abi.encodeWithSelector(IDeliveryRegistry.AttestorIsParty.selector, TRIP, CARRIER));
        attest(attestationOf(TRIP, CARRIER));
        vm.warp(block.timestamp + 1);
        vm.prank(admin);
        deliveries.addAttestor(LENDER);
        refused(abi.encodeWithSelector(IDeliveryRegistry.AttestorTooNew.selector, TRIP, LENDER));
        attest(attestationOf(TRIP, LENDER));
    }

    function test_a_removed_attestor_counts_no_more_at_once() public {
        load(loadingOf(TRIP));
        drive(TRIP);
        assertTrue(deliveries.isAgreed(TRIP));
        vm.prank(admin);
        deliveries.removeAttestor(ATTESTOR2);
        assertFalse(deliveries.isAgreed(TRIP));
        confirm(confirmationOf(TRIP));
        assertState(TRIP, TripState.Loaded);
        vm.prank(admin);
        deliveries.addAttestor(ATTESTOR2); // added again: too new for this trip
        assertFalse(deliveries.isAgreed(TRIP));
        attest(attestationOf(TRIP, ATTESTOR3));
        assertState(TRIP, TripState.Delivered);
    }

    // -- confirm ----------------------------------------------------------------------------------

    function test_confirm_or_attest_whichever_is_last_completes() public {
        load(loadingOf(TRIP));
        Confirmation memory f = confirmationOf(TRIP);
        confirm(f);
        attest(attestationOf(TRIP, ATTESTOR1));
        assertState(TRIP, TripState.Loaded);
        vm.recordLogs();
        confirm(f); // again: nothing happens
        assertEq(vm.getRecordedLogs().length, 0);
        attest(attestationOf(TRIP, ATTESTOR2));
        assertState(TRIP, TripState.Delivered);
        TripRecord memory t = deliveries.get(TRIP);
        assertEq(t.root, ROOT_HASH);
        assertEq(t.deliveredAt, block.timestamp);
        assertEq(t.vehicle, VEHICLE);
        assertTrue(deliveries.tripOfVehicle(VEHICLE) == NO_TRIP);
        confirm(f); // still nothing
        f.accepted--;
        refused(abi.encodeWithSelector(IDeliveryRegistry.TripAlreadyConfirmed.selector, TRIP));
        confirm(f);
    }

    function test_confirm_refuses_what_cannot_be() public {
        Confirmation memory f = confirmationOf(TRIP);
        _refusedState(TripState.Open, TripState.Loaded);
        confirm(f);
        load(loadingOf(TRIP));
        f.accepted = QUANTITY + 1;
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.TripQuantityExceeds.selector, TRIP, QUANTITY, QUANTITY + 1
            )
        );
        confirm(f);
        f = confirmationOf(TRIP);
        f.condition = 4;
        refused(abi.encodeWithSelector(IDeliveryRegistry.TripConditionInvalid.selector, TRIP, 4));
        confirm(f);
        f = confirmationOf(TRIP);
        f.at = START - 1;
        refused(IDeliveryRegistry.TripTimeInvalid.selector);
        confirm(f);
        f = confirmationOf(TRIP);
        f.by = SUB;
        refused(
            abi.encodeWithSelector(IDeliveryRegistry.TripConfirmerNotAllowed.selector, TRIP, SUB)
        );
        confirm(f);
        f = confirmationOf(TRIP);
        f.version++;
        refused(IDeliveryRegistry.TripVersionStale.selector);
        confirm(f);
        f = confirmationOf(TRIP);
        f.vehicle = "other";
        refused(IDeliveryRegistry.TripVehicleDiffers.selector);
        confirm(f);
        f = confirmationOf(TRIP);
        f.expires = 1;
        refused(IDeliveryRegistry.DeliveryFormExpired.selector);
        confirm(f);
    }

    function _watch(PartyId attestor, PartyId reviewer, PartyId standIn) internal {
        vm.prank(address(advances));
        deliveries.watch(
            TRIP,
            Watch({
                listener: address(advances),
                attestor: attestor,
                reviewer: reviewer,
                standIn: standIn
            })
        );
    }

    function test_confirm_by_the_debtor_waits_for_a_silent_consignee() public {
        _watch(ATTESTOR1, LENDER, CARRIER);
        load(loadingOf(TRIP));
        Confirmation memory f = confirmationOf(TRIP);
        f.by = CARRIER;
        f.expires = START + 3 days;
        refused(
            abi.encodeWithSelector(
                IDeliveryRegistry.TripConsigneeNotSilentYet.selector, TRIP, type(uint64).max
            )
        );
        confirm(f);
        drive(TRIP);
        uint256 from = block.timestamp + deliveries.CONSIGNEE_SILENCE();
        vm.warp(from - 1);
        refused(
            abi.encodeWithSelector(IDeliveryRegistry.TripConsigneeNotSilentYet.selector, TRIP, from)
        );
        confirm(f);
        vm.warp(from);
        confirm(f);
        assertState(TRIP, TripState.Delivered);
    }

    function _refusedAsNotSilentYet(Confirmation memory f, uint64 from) internal {
        refused(
            abi.encodeWithSelector(IDeliveryRegistry.TripConsigneeNotSilentYet.selector, TRIP, from)
        );
        confirm(f);
    }

    /// @dev Two agreed, one was removed, a third comes days later: nobody was silent for a day since these two agree.
    function test_silence_is_counted_from_the_agreement_that_stands() public {
        _watch(ATTESTOR1, LENDER, CARRIER);
        load(loadingOf(TRIP));
        drive(TRIP);
        vm.prank(admin);
        deliveries.removeAttestor(ATTESTOR2);
        vm.warp(block.timestamp + 2 days);
        Confirmation memory f = confirmationOf(TRIP);
        f.by = CARRIER;
        f.expires += 5 days;
        _refusedAsNotSilentYet(f, type(uint64).max);
        attest(attestationOf(TRIP, ATTESTOR3));
        uint64 from = uint64(block.timestamp) + deliveries.CONSIGNEE_SILENCE();
        _refusedAsNotSilentYet(f, from);
        vm.warp(from);
        confirm(f);
        assertState(TRIP, TripState.Delivered);
    }

    /// @dev Two agreed before anybody lent on the trip: the new lender's attestor and his debtor's day begin with the watch.
    function test_a_new_watch_counts_silence_anew() public {
        load(loadingOf(TRIP));
        attest(attestationOf(TRIP, ATTESTOR2));
        attest(attestationOf(TRIP, ATTESTOR3));
        vm.warp(block.timestamp + 2 days);
        _watch(ATTESTOR1, LENDER, CARRIER);
        Confirmation memory f = confirmationOf(TRIP);
        f.by = CARRIER;
        f.expires += 5 days;
        _refusedAsNotSilentYet(f, type(uint64).max);
        attest(attestationOf(TRIP, ATTESTOR1));
        uint64 from = uint64(block.timestamp) + deliveries.CONSIGNEE_SILENCE();
        _refusedAsNotSilentYet(f, from);
        vm.warp(from);
        confirm(f);
        assertState(TRIP, TripState.Delivered);
    }

    function test_a_new_watch_that_its_lender_has_agreed_to_counts_from_now() public {
        load(loadingOf(TRIP));
        attest(attestationOf(TRIP, ATTESTOR1));
        attest(attestationOf(TRIP, ATTESTOR2));
        vm.warp(block.timestamp + 2 days);
        _watch(ATTESTOR1, LENDER, CARRIER);
        Confirmation memory f = confirmationOf(TRIP);
        f.by = CARRIER;
        _refusedAsNotSilentYet(f, uint64(block.timestamp) + deliveries.CONSIGNEE_SILENCE());
        // The consignee himself waits for nothing.
        confirm(confirmationOf(TRIP));
        assertState(TRIP, TripState.Delivered);
    }

    function test_completion_needs_the_lenders_attestor() public {
        _watch(ATTESTOR1, LENDER, CARRIER);
        load(loadingOf(TRIP));
        confirm(confirmationOf(TRIP));
        attest(attestationOf(TRIP, ATTESTOR2));
        attest(attestationOf(TRIP, ATTESTOR3));
        assertState(TRIP, TripState.Loaded);
        attest(attestationOf(TRIP, ATTESTOR1));
        assertState(TRIP, TripState.Delivered);
    }

    // -- review -----------------------------------------------------------------------------------

    function _accept(bytes32 accepted, PartyId by) internal {
        ReviewAcceptance memory f = ReviewAcceptance({
            trip: TRIP, root: accepted, findings: FINDINGS, expires: soon(), salt: salt()
        });
        bytes memory s = sign(by, address(deliveries), hash(f));
        submit(address(deliveries), abi.encodeCall(deliveries.acceptReview, (f, s)));
    }

    function test_a_review_completes_only_with_the_lenders_signature() public {
        load(loadingOf(TRIP));
        confirm(confirmationOf(TRIP));
        PartyId[2] memory who = [ATTESTOR1, ATTESTOR2];
        for (uint256 i = 0; i < 2; i++) {
            Attestation memory f = attestationOf(TRIP, who[i]);
            f.verdict = uint8(Verdict.Review);
            attest(f);
        }
        assertState(TRIP, TripState.Loaded);
        refused(abi.encodeWithSelector(IDeliveryRegistry.ReviewerNotAllowed.selector, TRIP));
        _accept(ROOT_HASH, LENDER);
        _watch(ATTESTOR1, LENDER, CARRIER);
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        _accept(ROOT_HASH, SUB);
        _accept("another road", LENDER);
        assertState(TRIP, TripState.Loaded);
        _accept(ROOT_HASH, LENDER);
        assertState(TRIP, TripState.Delivered);
        _accept(ROOT_HASH, LENDER); // again: nothing happens
    }

    // -- dispute ----------------------------------------------------------------------------------

    function test_dispute_holds_completion_until_resolved() public {
        load(loadingOf(TRIP));
        Dispute memory f = disputeOf(TRIP, CONSIGNEE);
        dispute(f);
        assertState(TRIP, TripState.Held);
        drive(TRIP);
        confirm(confirmationOf(TRIP));
        assertState(TRIP, TripState.Held);
        resolveByArbiter(TRIP, 1);
        assertState(TRIP, TripState.Delivered);
        refused(IDeliveryRegistry.DeliveryFormUsed.selector); // the old paper once more
        dispute(f);
    }

    function test_dispute_is_for_parties_of_the_chain() public {
        load(loadingOf(TRIP));
        refused(
            abi.encodeWithSelector(IDeliveryRegistry.DisputerNotAllowed.selector, TRIP, STRANGER)
        );
        dispute(disputeOf(TRIP, STRANGER));
        Dispute memory f = disputeOf(TRIP, DRIVER);
        f.expires = 1;
        refused(IDeliveryRegistry.DeliveryFormExpired.selector);
        dispute(f);
        dispute(disputeOf(TRIP, DRIVER));
        _refusedState(TripState.Held, TripState.Loaded);
        dispute(disputeOf(TRIP, SUB));
    }

    function test_resolve_by_the_disputer_and_his_counterpart() public {
        load(loadingOf(TRIP));
        dispute(disputeOf(TRIP, CONSIGNEE));
        _resolve(1, CONSIGNEE, DRIVER);
        assertState(TRIP, TripState.Loaded);
        dispute(disputeOf(TRIP, DRIVER));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        _resolve(2, DRIVER, SUB);
        _resolve(2, DRIVER, CONSIGNEE);
        assertState(TRIP, TripState.Void);
        assertState(leaf, WaybillState.Cancelled);
        assertTrue(deliveries.tripOfVehicle(VEHICLE) == NO_TRIP);
    }

    function _resolve(uint8 outcome, PartyId a, PartyId b) internal {
        Resolution memory f = resolutionOf(TRIP, outcome);
        bytes[] memory s = new bytes[](2);
        s[0] = sign(a, address(deliveries), hash(f));
        s[1] = sign(b, address(deliveries), hash(f));
        submit(address(deliveries), abi.encodeCall(deliveries.resolve, (f, s, false)));
    }

    function test_resolve_refuses_what_cannot_be() public {
        load(loadingOf(TRIP));
        _refusedState(TripState.Loaded, TripState.Held);
        resolveByArbiter(TRIP, 1);
        dispute(disputeOf(TRIP, CONSIGNEE));
        refused(abi.encodeWithSelector(IDeliveryRegistry.TripOutcomeInvalid.selector, TRIP, 3));
        resolveByArbiter(TRIP, 3);
        Resolution memory f = resolutionOf(TRIP, 1);
        refused(abi.encodeWithSelector(IDeliveryRegistry.TripSignaturesMissing.selector, TRIP));
        submit(address(deliveries), abi.encodeCall(deliveries.resolve, (f, new bytes[](0), true)));
    }

    function test_dispute_after_completion_marks_and_can_only_end() public {
        deliver(TRIP, QUANTITY);
        dispute(disputeOf(TRIP, CONSIGNEE));
        assertTrue(deliveries.get(TRIP).disputed);
        assertState(TRIP, TripState.Delivered);
        _refusedState(TripState.Delivered, TripState.Held);
        resolveByArbiter(TRIP, 2);
        resolveByArbiter(TRIP, 1);
        assertFalse(deliveries.get(TRIP).disputed);
    }

    // -- expire -----------------------------------------------------------------------------------

    function _expire() internal {
        submit(address(deliveries), abi.encodeCall(deliveries.expire, (TRIP)));
    }

    function test_expire_voids_a_trip_long_after_its_window() public {
        load(loadingOf(TRIP));
        vm.warp(START + 3 days + deliveries.EXPIRY());
        refused(IDeliveryRegistry.TripTimeInvalid.selector);
        _expire();
        vm.warp(block.timestamp + 1);
        _expire();
        assertState(TRIP, TripState.Void);
        assertState(leaf, WaybillState.Cancelled);
        assertEq(waybills.get(mid).children, 0);
        _refusedState(TripState.Void, TripState.Loaded);
        _expire();
    }

    function test_expire_spares_a_held_trip_longer_and_what_is_delivered() public {
        load(loadingOf(TRIP));
        dispute(disputeOf(TRIP, CONSIGNEE));
        vm.warp(START + 3 days + deliveries.HELD_EXPIRY());
        refused(IDeliveryRegistry.TripTimeInvalid.selector);
        _expire();
        vm.warp(block.timestamp + 1);
        _expire();
        assertState(TRIP, TripState.Void);
        refused(IDeliveryRegistry.TripUnknown.selector);
        submit(address(deliveries), abi.encodeCall(deliveries.expire, (TripId.wrap("nowhere"))));
    }

    // -- watch and powers -------------------------------------------------------------------------

    function test_watch_is_the_registrants_and_never_replaced() public {
        Watch memory w = Watch(address(1), ATTESTOR1, LENDER, CARRIER);
        refused(
            abi.encodeWithSelector(IDeliveryRegistry.DeliveryCallerNotAllowed.selector, relayer)
        );
        submit(address(deliveries), abi.encodeCall(deliveries.watch, (TRIP, w)));
        vm.startPrank(address(advances));
        deliveries.watch(TRIP, w);
        w.listener = address(2);
        vm.expectRevert(
            abi.encodeWithSelector(IDeliveryRegistry.TripAlreadyWatched.selector, TRIP, address(1))
        );
        deliveries.watch(TRIP, w);
        vm.stopPrank();
        assertEq(deliveries.watchOf(TRIP).listener, address(1));
    }

    function test_attestors_are_the_managers() public {
        bytes memory error_ =
            abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, relayer);
        refused(error_);
        submit(address(deliveries), abi.encodeCall(deliveries.addAttestor, (SUB)));
        refused(error_);
        submit(address(deliveries), abi.encodeCall(deliveries.removeAttestor, (ATTESTOR1)));
        refused(error_);
        submit(address(deliveries), abi.encodeCall(deliveries.setArbiter, (SUB)));
        vm.startPrank(admin);
        vm.expectRevert(
            abi.encodeWithSelector(IDeliveryRegistry.AttestorAlreadyAdded.selector, ATTESTOR1)
        );
        deliveries.addAttestor(ATTESTOR1);
        vm.expectRevert(
            abi.encodeWithSelector(IDeliveryRegistry.AttestorUnknown.selector, STRANGER)
        );
        deliveries.removeAttestor(STRANGER);
        for (uint64 i = 0; i < 29; i++) {
            deliveries.addAttestor(PartyId.wrap(500 + i));
        }
        vm.expectRevert(abi.encodeWithSelector(IDeliveryRegistry.AttestorsTooMany.selector, 32));
        deliveries.addAttestor(STRANGER);
        vm.stopPrank();
        assertEq(deliveries.attestors().length, 32);
        assertEq(deliveries.threshold(), 2);
    }

    function test_the_threshold_is_not_zero() public {
        vm.expectRevert(IDeliveryRegistry.AttestorThresholdZero.selector);
        new DeliveryRegistry(address(manager), parties, waybills, address(advances), 0);
    }

    function test_completion_refuses_too_little_gas_for_the_listener() public {
        _watch(ATTESTOR1, LENDER, CARRIER);
        load(loadingOf(TRIP));
        drive(TRIP);
        Confirmation memory f = confirmationOf(TRIP);
        bytes memory data =
            abi.encodeCall(deliveries.confirm, (f, sign(CONSIGNEE, address(deliveries), hash(f))));
        (bool accepted, bytes memory why) = address(deliveries).call{gas: 1_000_000}(data);
        assertFalse(accepted);
        assertEq(bytes4(why), IDeliveryRegistry.DeliveryGasTooLow.selector);
        assertState(TRIP, TripState.Loaded);
        confirm(f);
        assertState(TRIP, TripState.Delivered);
    }

    function test_a_listener_that_reverts_undoes_nothing() public {
        address bad = address(new BadListener());
        vm.prank(address(advances));
        deliveries.watch(TRIP, Watch(bad, ATTESTOR1, LENDER, CARRIER));
        load(loadingOf(TRIP));
        drive(TRIP);
        Confirmation memory f = confirmationOf(TRIP);
        bytes memory s = sign(CONSIGNEE, address(deliveries), hash(f));
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.ListenerFailed(
            TRIP, bad, abi.encodeWithSignature("Error(string)", "no")
        );
        deliveries.confirm(f, s);
        assertState(TRIP, TripState.Delivered);
    }
}

/// @dev A listener that refuses everything.
contract BadListener {
    function onDelivered(TripId, uint64, uint64, uint64) external pure {
        revert("no");
    }
}
