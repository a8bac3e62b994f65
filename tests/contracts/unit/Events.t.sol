// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Vm} from "forge-std/Vm.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import "../Base.t.sol";
import {ICreditFacility} from "contracts/interfaces/ICreditFacility.sol";
import {IDeliveryRegistry, Watch} from "contracts/interfaces/IDeliveryRegistry.sol";
import {IFreightAdvance} from "contracts/interfaces/IFreightAdvance.sol";
import {IFreightSettlement} from "contracts/interfaces/IFreightSettlement.sol";
import {ISettlementToken} from "contracts/interfaces/ISettlementToken.sol";
import {IWaybillRegistry} from "contracts/interfaces/IWaybillRegistry.sol";

/// @title Each verb tells what it did: every event with all its facts, in order
/// @dev Whoever keeps books beside the chain has nothing but these (promise J: events alone rebuild every state).
contract EventsTest is Base {
    bytes32 internal constant FINGERPRINT = keccak256("fingerprint");

    function _moved(WaybillId id, WaybillState from, WaybillState to) internal {
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillMoved(id, from, to);
    }

    function _transfer(address from, address to, uint256 amount) internal {
        vm.expectEmit(address(token));
        emit IERC20.Transfer(from, to, amount);
    }

    function _payout(AdvanceId id, uint256 index) internal pure returns (bytes32) {
        return keccak256(abi.encode(id, index));
    }

    function _lend() internal {
        issueChain();
        line = openLine(lineForm());
        fund(LENDER, 50_000_00);
    }

    // -- waybills ---------------------------------------------------------------------------------

    function test_waybills_tell_issue_amendment_credit_and_end() public {
        Waybill memory f = rootForm();
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillIssued(
            WaybillId.wrap(hash(f)),
            NO_WAYBILL,
            NO_TRIP,
            CONSIGNOR,
            CARRIER,
            CONSIGNEE,
            ROOT_FREIGHT,
            QUANTITY,
            0,
            false
        );
        root = issue(f);
        mid = issue(midForm(root));
        f = leafForm(mid);
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillIssued(
            WaybillId.wrap(hash(f)),
            mid,
            TRIP,
            SUB,
            DRIVER,
            CONSIGNEE,
            LEAF_FREIGHT,
            QUANTITY,
            2,
            false
        );
        leaf = issue(f);
        Amendment memory a = amendmentOf(leaf);
        (a.freight, a.plan, a.vehicle) = (7_000_00, "other plan", "other vehicle");
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillAmended(
            leaf, 2, 7_000_00, QUANTITY, "other plan", "other vehicle"
        );
        amend(a);
        CreditNote memory n = creditNote(mid, 30_00);
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillCredited(mid, 30_00, 30_00);
        credit(n);
        n = creditNote(mid, 20_00);
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillCredited(mid, 20_00, 50_00);
        credit(n);
        _moved(leaf, WaybillState.Issued, WaybillState.Cancelled);
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillCancelled(leaf);
        cancel(leaf);
    }

    function test_a_declared_root_tells_that_it_is_declared() public {
        Waybill memory f = rootForm();
        bytes memory b = sign(CARRIER, address(waybills), hash(f));
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillIssued(
            WaybillId.wrap(hash(f)),
            NO_WAYBILL,
            NO_TRIP,
            CONSIGNOR,
            CARRIER,
            CONSIGNEE,
            ROOT_FREIGHT,
            QUANTITY,
            0,
            true
        );
        submit(address(waybills), abi.encodeCall(waybills.issue, (f, "", b)));
    }

    // -- the road ---------------------------------------------------------------------------------

    function test_a_trip_tells_loading_track_verdicts_receipt_and_completion() public {
        issueChain();
        Loading memory l = loadingOf(TRIP);
        _moved(leaf, WaybillState.Issued, WaybillState.InTransit);
        _moved(mid, WaybillState.Issued, WaybillState.InTransit);
        _moved(root, WaybillState.Issued, WaybillState.InTransit);
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.TripLoaded(TRIP, VEHICLE, QUANTITY, l.at, l.document);
        load(l);
        vm.warp(block.timestamp + 1 hours);
        TrackBatch memory b = batchOf(TRIP, 0);
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.TrackCommitted(TRIP, 0, b.root, b.count, b.firstTime, b.lastTime);
        commit(b);
        Attestation memory a = attestationOf(TRIP, ATTESTOR1);
        a.lateBps = 7;
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.DriveAttested(
            TRIP,
            ATTESTOR1,
            Verdict.Pass,
            ROOT_HASH,
            POLICY,
            FINDINGS,
            a.departedAt,
            a.arrivedAt,
            a.distanceM,
            a.fixes,
            7
        );
        attest(a);
        attest(attestationOf(TRIP, ATTESTOR2));
        Confirmation memory c = confirmationOf(TRIP);
        (c.accepted, c.condition) = (QUANTITY - 5, 2);
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.DeliveryConfirmed(TRIP, CONSIGNEE, QUANTITY - 5, 2, c.document, c.at);
        _moved(leaf, WaybillState.InTransit, WaybillState.Delivered);
        _moved(mid, WaybillState.InTransit, WaybillState.Delivered);
        _moved(root, WaybillState.InTransit, WaybillState.Delivered);
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.DeliveryCompleted(
            TRIP, QUANTITY - 5, QUANTITY, ROOT_HASH, uint64(block.timestamp)
        );
        confirm(c);
        assertEq(deliveries.get(TRIP).condition, 2);
        assertEq(deliveries.get(TRIP).loadedAt, l.at);
    }

    function test_a_dispute_its_end_and_a_void_trip_are_told() public {
        issueChain();
        load(loadingOf(TRIP));
        Dispute memory d = disputeOf(TRIP, DRIVER);
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.DeliveryDisputed(TRIP, DRIVER, d.reason, false);
        dispute(d);
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.DisputeResolved(TRIP, 2, keccak256("settlement"));
        _moved(leaf, WaybillState.InTransit, WaybillState.Cancelled);
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillCancelled(leaf);
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.TripVoided(TRIP);
        resolveByArbiter(TRIP, 2);
        assertFalse(deliveries.get(TRIP).disputed);
    }

    function test_a_dispute_after_completion_is_told_as_such() public {
        issueChain();
        deliver(TRIP, QUANTITY);
        Dispute memory d = disputeOf(TRIP, CONSIGNEE);
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.DeliveryDisputed(TRIP, CONSIGNEE, d.reason, true);
        dispute(d);
    }

    function test_watch_review_and_attestors_are_told() public {
        issueChain();
        load(loadingOf(TRIP));
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.TripWatched(TRIP, address(7), ATTESTOR1, LENDER, CARRIER);
        vm.prank(address(advances));
        deliveries.watch(TRIP, Watch(address(7), ATTESTOR1, LENDER, CARRIER));
        ReviewAcceptance memory r = ReviewAcceptance(TRIP, ROOT_HASH, FINDINGS, soon(), salt());
        bytes memory s = sign(LENDER, address(deliveries), hash(r));
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.ReviewAccepted(TRIP, LENDER, ROOT_HASH, FINDINGS);
        submit(address(deliveries), abi.encodeCall(deliveries.acceptReview, (r, s)));
        vm.startPrank(admin);
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.AttestorAdded(STRANGER, uint64(block.timestamp));
        deliveries.addAttestor(STRANGER);
        assertTrue(deliveries.isAttestor(STRANGER));
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.AttestorRemoved(STRANGER);
        deliveries.removeAttestor(STRANGER);
        assertFalse(deliveries.isAttestor(STRANGER));
        assertEq(deliveries.attestors().length, 3);
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.ArbiterChanged(STRANGER);
        deliveries.setArbiter(STRANGER);
        vm.stopPrank();
        assertTrue(deliveries.arbiter() == STRANGER);
    }

    // -- lines and vaults -------------------------------------------------------------------------

    function test_lines_and_vaults_tell_what_moved() public {
        CreditLine memory f = lineForm();
        vm.expectEmit(address(facility));
        emit ICreditFacility.LineOpened(LineId.wrap(hash(f)), LENDER, SUB, f.limit);
        line = openLine(f);
        LineChange memory c = LineChange(line, 9_00, true, START + 9 days, soon(), salt());
        vm.expectEmit(address(facility));
        emit ICreditFacility.LineChanged(line, 9_00, true, START + 9 days);
        changeLine(c);
        mint(accountOf(LENDER), 100);
        vm.expectEmit(address(facility));
        emit ICreditFacility.VaultMoved(LENDER, true, 60, 60);
        _transfer(accountOf(LENDER), address(facility), 60);
        moveVault(LENDER, true, 60);
        vm.expectEmit(address(facility));
        emit ICreditFacility.VaultMoved(LENDER, false, 20, 40);
        _transfer(address(facility), accountOf(LENDER), 20);
        moveVault(LENDER, false, 20);
    }

    // -- an advance -------------------------------------------------------------------------------

    function test_an_advance_tells_its_way_to_the_approval() public {
        _lend();
        AdvanceRequest memory f = requestForm();
        AdvanceId id = AdvanceId.wrap(hash(f));
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceRequested(id, line, TRIP, mid, SUB, PRINCIPAL, f.decision);
        request(f);
        Acknowledgement memory a = acknowledgementOf(id);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.DebtAcknowledged(id, CARRIER, a.notice);
        acknowledge(a);
        PayeeConsent memory c = consentOf(id, 0);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.PayeeConsented(id, DRIVER, DRIVER_ACCOUNT);
        consent(c);
        Approval memory v = approvalOf(id);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceApproved(id, LENDER, PRINCIPAL, v.approvedUntil);
        vm.expectEmit(address(facility));
        emit ICreditFacility.LineReserved(line, PRINCIPAL, PRINCIPAL, 0);
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillPledged(mid, LENDER);
        vm.expectEmit(address(deliveries));
        emit IDeliveryRegistry.TripWatched(TRIP, address(advances), ATTESTOR1, LENDER, CARRIER);
        approve(v);
    }

    function test_a_release_and_its_repayment_tell_every_fen() public {
        AdvanceId id = approvedAdvance();
        load(loadingOf(TRIP));
        drive(TRIP);
        uint32 day = advances.today();
        Confirmation memory c = confirmationOf(TRIP);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceReleased(id, PRINCIPAL, day, day + 45);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.PayeePaid(id, DRIVER, leaf, PRINCIPAL, _payout(id, 0));
        vm.expectEmit(address(facility));
        emit ICreditFacility.LineDrawn(line, PRINCIPAL, 0, PRINCIPAL);
        _transfer(address(facility), accountOf(DRIVER), PRINCIPAL);
        vm.expectEmit(address(token));
        emit ISettlementToken.PayoutQueued(_payout(id, 0), DRIVER, DRIVER_ACCOUNT, PRINCIPAL);
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillPaid(leaf, PRINCIPAL, PRINCIPAL);
        confirm(c);

        vm.warp(block.timestamp + 40 days);
        // 640,000 fen x 0.1095 x 40 / 365 and 0.1 % of it.
        (uint128 interest, uint128 fee) = (76_80, 6_40);
        address collection = settlement.collectionAccount(mid);
        mint(collection, MID_FREIGHT);
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillPaid(mid, MID_FREIGHT, MID_FREIGHT);
        _moved(mid, WaybillState.Delivered, WaybillState.Paid);
        vm.expectEmit(address(facility));
        emit ICreditFacility.LineRepaid(line, PRINCIPAL, fee + interest, 0);
        _transfer(collection, address(facility), PRINCIPAL + fee + interest);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceRepaid(id, fee, 0, interest, PRINCIPAL, 0, 0);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceClosed(id);
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillReleased(mid, LENDER);
        vm.expectEmit(address(settlement));
        emit IFreightSettlement.LoanSettled(mid, id, PRINCIPAL + fee + interest);
        uint128 rest = MID_FREIGHT - PRINCIPAL - fee - interest;
        vm.expectEmit(address(settlement));
        emit IFreightSettlement.FreightSettled(
            mid, MID_FREIGHT, PRINCIPAL + fee + interest, 0, rest, 0
        );
        _transfer(collection, accountOf(SUB), rest);
        submit(address(settlement), abi.encodeCall(settlement.settle, (mid)));
    }

    function test_what_is_not_released_at_once_tells_why() public {
        CreditLine memory l = lineForm();
        l.gated = true;
        issueChain();
        line = openLine(l);
        fund(LENDER, 50_000_00);
        AdvanceId id = approved(requestForm());
        load(loadingOf(TRIP));
        drive(TRIP);
        Confirmation memory c = confirmationOf(TRIP);
        uint256 before = vm.snapshotState();
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceReleasable(id, "gate");
        confirm(c);
        uint256 waiting = vm.snapshotState();
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceGateOpened(id, "law");
        gate(id, true);
        assertState(id, AdvanceState.Released);
        vm.revertToState(waiting);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceVoided(id, "law");
        vm.expectEmit(address(facility));
        emit ICreditFacility.LineReserveVoided(line, PRINCIPAL, 0);
        vm.expectEmit(address(waybills));
        emit IWaybillRegistry.WaybillReleased(mid, LENDER);
        gate(id, false);
        vm.revertToState(waiting);
        vm.warp(block.timestamp + 7 days + 1);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceVoided(id, "unanswered");
        submit(address(advances), abi.encodeCall(advances.expire, (id)));
        vm.revertToState(before);
        vm.warp(block.timestamp + 5 days + 1);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceVoided(id, "expired");
        submit(address(advances), abi.encodeCall(advances.expire, (id)));
    }

    function test_amended_short_late_and_void_trips_tell_their_reasons() public {
        AdvanceId id = approvedAdvance();
        uint256 before = vm.snapshotState();
        Amendment memory a = amendmentOf(leaf);
        a.plan = "an easier road";
        amend(a);
        vm.recordLogs();
        deliver(TRIP, QUANTITY);
        assertTrue(_told(IFreightAdvance.AdvanceReleasable.selector, id, "amended"));
        vm.revertToState(before);
        vm.recordLogs();
        deliver(TRIP, QUANTITY / 2);
        assertTrue(_told(IFreightAdvance.AdvanceReleasable.selector, id, "shortage"));
        vm.revertToState(before);
        vm.warp(block.timestamp + 5 days + 1);
        vm.recordLogs();
        deliver(TRIP, QUANTITY);
        assertTrue(_told(IFreightAdvance.AdvanceVoided.selector, id, "expired"));
        vm.revertToState(before);
        cancel(leaf);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceVoided(id, "void");
        submit(address(advances), abi.encodeCall(advances.expire, (id)));
    }

    /// @dev Whether the recorded logs hold this event of the advance with this reason.
    function _told(bytes32 what, AdvanceId id, bytes32 reason) internal returns (bool found) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; i++) {
            if (logs[i].topics[0] != what || logs[i].emitter != address(advances)) continue;
            found = found
                || (logs[i].topics[1] == AdvanceId.unwrap(id)
                    && abi.decode(logs[i].data, (bytes32)) == reason);
        }
    }

    function test_a_short_release_gives_back_and_a_failed_payee_is_told() public {
        CreditLine memory l = lineForm();
        l.toleranceBps = 5_000;
        issueChain();
        line = openLine(l);
        fund(LENDER, 50_000_00);
        AdvanceId id = approved(requestForm());
        load(loadingOf(TRIP));
        drive(TRIP);
        Confirmation memory c = confirmationOf(TRIP);
        c.accepted = QUANTITY / 2;
        uint256 before = vm.snapshotState();
        vm.expectEmit(address(facility));
        emit ICreditFacility.LineReserveVoided(line, PRINCIPAL / 2, PRINCIPAL / 2);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.PayeePaid(id, DRIVER, leaf, PRINCIPAL / 2, _payout(id, 0));
        confirm(c);
        (uint128 granted,, bool paid) = advances.grantOf(id, 0);
        assertEq(granted, PRINCIPAL / 2);
        assertTrue(paid);
        vm.revertToState(before);
        vm.mockCallRevert(
            address(waybills), abi.encodeCall(waybills.recordPaid, (leaf, PRINCIPAL / 2)), "down"
        );
        vm.expectEmit(address(advances));
        emit IFreightAdvance.PayeeFailed(id, DRIVER, PRINCIPAL / 2, "down");
        confirm(c);
        (granted,, paid) = advances.grantOf(id, 0);
        assertEq(granted, PRINCIPAL / 2);
        assertFalse(paid);
    }

    function test_the_lenders_acts_tell_what_they_did() public {
        AdvanceId id = approvedAdvance();
        deliver(TRIP, QUANTITY);
        uint32 day = advances.today();
        vm.expectEmit(address(advances));
        emit IFreightAdvance.InterestDeferred(id, day + 2);
        act(id, 3, day + 2);
        vm.warp(block.timestamp + 60 days);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceRepaid(id, 0, 0, 0, 0, 7, PRINCIPAL);
        act(id, 5, 7);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceDefaulted(id, day + 60);
        act(id, 1, 0);
        vm.expectEmit(address(facility));
        emit ICreditFacility.LineWrittenOff(line, PRINCIPAL, 0);
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceWrittenOff(id, PRINCIPAL);
        act(id, 2, 0);
        mint(accountOf(SUB), 200_00);
        // Written off, all that comes in is income.
        vm.expectEmit(address(facility));
        emit ICreditFacility.LineRepaid(line, 0, 200_00, 0);
        repay(id, 200_00);
        assertTrue(facility.loanOf(id).writtenOff);
    }

    function test_a_declined_request_is_told() public {
        _lend();
        AdvanceId id = request(requestForm());
        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceDeclined(id);
        act(id, 4, 0);
    }

    // -- settlement and the token -----------------------------------------------------------------

    function test_a_cascade_and_a_refund_tell_every_fen() public {
        issueChain();
        deliver(TRIP, QUANTITY);
        Cascade memory f = Cascade(mid, leaf, 5_000_00, soon(), salt());
        bytes memory s = sign(SUB, address(settlement), hash(f));
        vm.expectEmit(address(settlement));
        emit IFreightSettlement.CascadeSigned(mid, leaf, 5_000_00);
        submit(address(settlement), abi.encodeCall(settlement.signCascade, (f, s)));
        assertTrue(settlement.cascadesOf(mid)[0] == leaf);
        mint(settlement.collectionAccount(mid), MID_FREIGHT + 7);
        address collection = settlement.collectionAccount(mid);
        address below = settlement.collectionAccount(leaf);
        _transfer(collection, below, 5_000_00);
        vm.expectEmit(address(settlement));
        emit IFreightSettlement.FreightSettled(leaf, 5_000_00, 0, 0, 5_000_00, 0);
        _transfer(below, accountOf(DRIVER), 5_000_00);
        vm.expectEmit(address(settlement));
        emit IFreightSettlement.FreightSettled(
            mid, MID_FREIGHT + 7, 0, 5_000_00, MID_FREIGHT - 5_000_00, 7
        );
        _transfer(collection, accountOf(SUB), MID_FREIGHT - 5_000_00);
        _transfer(collection, accountOf(CARRIER), 7);
        submit(address(settlement), abi.encodeCall(settlement.settle, (mid)));
    }

    function test_the_token_tells_mint_payout_and_burn() public {
        MintReceipt memory m = MintReceipt("bank 1", accountOf(DRIVER), 100, 20_479);
        bytes32 h = hash(m);
        bytes memory a = sign(CUSTODIAN1, address(token), h);
        bytes memory b = sign(CUSTODIAN2, address(token), h);
        vm.expectEmit(address(token));
        emit ISettlementToken.Minted("bank 1", accountOf(DRIVER), 100, 20_479);
        _transfer(address(0), accountOf(DRIVER), 100);
        submit(address(token), abi.encodeCall(token.mint, (m, a, b)));

        PayoutRequest memory p = PayoutRequest(DRIVER, "account", 60, soon(), salt());
        bytes32 payout = hash(p);
        a = sign(DRIVER, address(token), payout);
        vm.expectEmit(address(token));
        emit ISettlementToken.PayoutQueued(payout, DRIVER, "account", 60);
        submit(address(token), abi.encodeCall(token.requestPayout, (p, a)));

        PayoutRedirect memory r = PayoutRedirect(payout, "other", soon(), salt());
        a = sign(DRIVER, address(token), hash(r));
        b = sign(CUSTODIAN1, address(token), hash(r));
        vm.expectEmit(address(token));
        emit ISettlementToken.PayoutRedirected(payout, "other");
        submit(address(token), abi.encodeCall(token.redirectPayout, (r, a, b)));

        PayoutReceipt memory c = PayoutReceipt(payout, "sequence 1", 20_480);
        a = sign(CUSTODIAN1, address(token), hash(c));
        b = sign(CUSTODIAN2, address(token), hash(c));
        vm.expectEmit(address(token));
        emit ISettlementToken.PayoutPaid(payout, "sequence 1", 20_480);
        _transfer(accountOf(DRIVER), address(0), 60);
        submit(address(token), abi.encodeCall(token.confirmPayout, (c, a, b)));
        assertEq(token.freeBalance(DRIVER), 40);
    }

    function test_the_tokens_powers_are_told() public {
        vm.startPrank(admin);
        vm.expectEmit(address(token));
        emit ISettlementToken.CustodianChanged(SUB, DRIVER);
        token.setCustodian(SUB, DRIVER);
        vm.expectEmit(address(token));
        emit ISettlementToken.DailyCapChanged(5);
        token.setDailyCap(5);
        vm.stopPrank();
        assertTrue(token.firstCustodian() == SUB);
        assertTrue(token.secondCustodian() == DRIVER);
    }
}
