// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {TripBook} from "./TripBook.sol";
import {IDeliveryListener} from "./interfaces/IDeliveryListener.sol";
import {IDeliveryRegistry, Watch} from "./interfaces/IDeliveryRegistry.sol";
import {IPartyRegistry} from "./interfaces/IPartyRegistry.sol";
import {IWaybillRegistry, LeafFacts} from "./interfaces/IWaybillRegistry.sol";
import {DeliveryHash} from "./libraries/DeliveryHash.sol";
import {Moves} from "./libraries/Moves.sol";
import {
    Attestation,
    Confirmation,
    Dispute,
    Loading,
    Resolution,
    ReviewAcceptance,
    TrackBatch
} from "./types/DeliveryForms.sol";
import {NO_TRIP, NO_WAYBILL, NOBODY, PartyId, TripId} from "./types/Ids.sol";
import {TripState, Verdict, WaybillState} from "./types/States.sol";

/// @title Loading, trajectory evidence, receipt, delivery
/// @notice Promise C. Knows no money. The manual is IDeliveryRegistry; what is stored stands in TripBook.
contract DeliveryRegistry is IDeliveryRegistry, EIP712, AccessManaged, TripBook {
    using DeliveryHash for *;

    // -- bounds and neighbours --------------------------------------------------------------------

    /// @inheritdoc IDeliveryRegistry
    uint64 public constant CONSIGNEE_SILENCE = 24 hours;
    /// @inheritdoc IDeliveryRegistry
    uint64 public constant EXPIRY = 14 days;
    /// @inheritdoc IDeliveryRegistry
    uint64 public constant HELD_EXPIRY = 90 days;
    /// @inheritdoc IDeliveryRegistry
    uint256 public constant LISTENER_GAS = 2_000_000;
    /// @inheritdoc IDeliveryRegistry
    uint256 public constant MAX_ATTESTORS = 32;

    /// @dev Signers' clocks may run ahead of the chain's by this much.
    uint64 private constant CLOCK_SKEW = 5 minutes;

    IPartyRegistry private immutable PARTIES;

    mapping(bytes32 digest => bool) private _used;

    constructor(
        address authority,
        IPartyRegistry parties,
        IWaybillRegistry waybills,
        address advance,
        uint256 k
    ) EIP712("Yundan", "1") AccessManaged(authority) TripBook(waybills, advance, k) {
        PARTIES = parties;
    }

    // -- loading ----------------------------------------------------------------------------------

    /// @inheritdoc IDeliveryRegistry
    function load(Loading calldata form, bytes calldata driverSignature) external {
        Trip storage t = _trips[form.trip];
        if (
            t.state != TripState.None && t.loaded == form.quantity && t.loadedAt == form.at
                && t.state != TripState.Void
        ) {
            return; // the same loading again
        }
        LeafFacts memory leaf = WAYBILLS.leafFacts(form.trip);
        if (leaf.waybill == NO_WAYBILL) revert TripUnknown(form.trip);
        if (t.state != TripState.None || leaf.state != WaybillState.Issued) {
            revert TripUnexpectedState(form.trip, stateOf(form.trip), TripState.Open);
        }
        _requireInTime(form.expires);
        (uint32 version, bytes32 vehicle) = WAYBILLS.vehicleOf(form.trip);
        if (form.version != version) revert TripVersionStale(form.trip, version, form.version);
        if (form.vehicle != vehicle) {
            revert TripVehicleDiffers(form.trip, vehicle, form.vehicle);
        }
        if (form.quantity != leaf.quantity) {
            revert TripQuantityDiffers(form.trip, leaf.quantity, form.quantity);
        }
        if (form.at < leaf.loadFrom || form.at > block.timestamp + CLOCK_SKEW) {
            revert TripTimeInvalid(form.trip, form.at, uint64(block.timestamp));
        }
        if (_tripOfVehicle[vehicle] != NO_TRIP) {
            revert VehicleBusy(vehicle, _tripOfVehicle[vehicle]);
        }
        PARTIES.requireSignature(leaf.performer, _hashTypedDataV4(form.hash()), driverSignature);

        _move(t, TripState.Loaded);
        t.loaded = form.quantity;
        t.loadedAt = uint40(form.at);
        _tripOfVehicle[vehicle] = form.trip;
        WAYBILLS.recordLoading(form.trip);
        emit TripLoaded(form.trip, vehicle, form.quantity, form.at, form.document);
    }

    // -- evidence ---------------------------------------------------------------------------------

    /// @inheritdoc IDeliveryRegistry
    function commitTrack(TrackBatch calldata form, bytes calldata signature) external {
        Trip storage t = _getOnRoad(form.trip);
        bytes32 structHash = form.hash();
        uint32 batches = t.batches;
        if (form.index != batches) {
            // The last batch again changes nothing.
            bool same =
                batches != 0 && form.index == batches - 1 && bytes5(structHash) == t.lastBatch;
            if (same) return;
            revert TrackBatchOutOfOrder(form.trip, batches, form.index);
        }
        if (
            form.count == 0 || form.firstTime > form.lastTime
                || form.lastTime > block.timestamp + CLOCK_SKEW
        ) {
            revert TrackBatchSpanInvalid(form.trip, form.firstTime, form.lastTime);
        }
        // A batch is evidence of arrival and no vote: that he is an attestor is enough.
        if (_attestors[form.attestor].since == 0) revert AttestorUnknown(form.attestor);
        PARTIES.requireSignature(form.attestor, _hashTypedDataV4(structHash), signature);

        t.batches = batches + 1;
        t.lastBatch = bytes5(structHash);
        // A batch from a blind area may be older than the one before it.
        if (form.lastTime > t.committedTo) t.committedTo = uint40(form.lastTime);
        t.head = keccak256(
            abi.encode(t.head, form.index, form.root, form.count, form.firstTime, form.lastTime)
        );
        emit TrackCommitted(
            form.trip, form.index, form.root, form.count, form.firstTime, form.lastTime
        );
    }

    /// @inheritdoc IDeliveryRegistry
    function attest(Attestation calldata form, bytes calldata signature) external {
        // Nothing but a failure can be said of a drive without a track.
        bool fails = form.verdict == uint8(Verdict.Fail);
        if (form.verdict == 0 || form.verdict > uint8(Verdict.Fail) || (form.root == 0 && !fails)) {
            revert VerdictInvalid(form.verdict);
        }
        bytes32 outcome = _outcomeOf(form.root, form.findings, form.verdict);
        bytes32 earlier = _outcomes[form.trip][form.attestor];
        if (earlier == outcome) return; // the same attestation again

        Trip storage t = _trips[form.trip];
        // Once delivered, a late attestor may still add his word to the evidence, but nobody may change his.
        if (t.state != TripState.Delivered || earlier != 0) _requireOnRoad(form.trip, t);
        _requireInTime(form.expires);
        _requireTerms(form);
        _requireAttestor(form.trip, form.attestor);
        // Who changed his word would else be bound by the old paper again, whoever plays it.
        PARTIES.requireSignature(form.attestor, _use(form.hash()), signature);

        _dropLapsed(form.trip, t);
        _outcomes[form.trip][form.attestor] = outcome;
        if (!fails) _keepRoot(t, outcome, form.root);
        _announce(form);

        if (t.state != TripState.Delivered) {
            bool agreed = _agreedOutcome(form.trip) != 0;
            if (agreed != (t.agreedAt != 0)) t.agreedAt = agreed ? uint40(block.timestamp) : 0;
            _completeIfReady(form.trip, t);
        }
    }

    /// @inheritdoc IDeliveryRegistry
    function acceptReview(ReviewAcceptance calldata form, bytes calldata signature) external {
        Trip storage t = _trips[form.trip];
        bytes32 mark = _markOf(form.root, form.findings);
        if (_accepted[form.trip] == mark) return; // the same acceptance again
        _requireOnRoad(form.trip, t);
        _requireInTime(form.expires);
        PartyId reviewer = _needs[form.trip].reviewer;
        if (reviewer == NOBODY) revert ReviewerNotAllowed(form.trip);
        PARTIES.requireSignature(reviewer, _use(form.hash()), signature);

        _dropLapsed(form.trip, t);
        _accepted[form.trip] = mark;
        emit ReviewAccepted(form.trip, reviewer, form.root, form.findings);
        if (t.agreedAt == 0 && _agreedOutcome(form.trip) != 0) {
            t.agreedAt = uint40(block.timestamp);
        }
        _completeIfReady(form.trip, t);
    }

    /// @dev An agreement that ended since (an attestor was removed) counts no time for the one that comes now.
    function _dropLapsed(TripId trip, Trip storage t) private {
        if (t.agreedAt != 0 && _agreedOutcome(trip) == 0) t.agreedAt = 0;
    }

    /// @dev The trip keeps the root that was said first; one that differs stands with its outcome.
    function _keepRoot(Trip storage t, bytes32 outcome, bytes32 root) private {
        bytes32 kept = t.root;
        if (kept == 0) t.root = root;
        else if (kept != root) _roots[outcome] = root;
    }

    function _requireTerms(Attestation calldata form) private view {
        (uint32 version, bytes32 vehicle, bytes32 plan, bytes32 policy) =
            WAYBILLS.tripTerms(form.trip);
        if (form.version != version) revert TripVersionStale(form.trip, version, form.version);
        if (form.vehicle != vehicle) {
            revert TripVehicleDiffers(form.trip, vehicle, form.vehicle);
        }
        if (form.plan != plan) revert TripPlanDiffers(form.trip, plan, form.plan);
        if (form.policy != policy) revert TripPolicyDiffers(form.trip, policy, form.policy);
    }

    /// @dev An attestor counts for a trip whose leaf was issued when he was one already, and never for his own chain.
    function _requireAttestor(TripId trip, PartyId attestor) private view {
        uint40 since = _attestors[attestor].since;
        if (since == 0) revert AttestorUnknown(attestor);
        LeafFacts memory leaf = WAYBILLS.leafFacts(trip);
        if (leaf.issuedAt < since) revert AttestorTooNew(trip, attestor);
        if (WAYBILLS.isPartyOfChain(leaf.waybill, attestor)) {
            revert AttestorIsParty(trip, attestor);
        }
    }

    function _announce(Attestation calldata form) private {
        emit DriveAttested(
            form.trip,
            form.attestor,
            Verdict(form.verdict),
            form.root,
            form.policy,
            form.findings,
            form.departedAt,
            form.arrivedAt,
            form.distanceM,
            form.fixes,
            form.lateBps
        );
    }

    // -- receipt ----------------------------------------------------------------------------------

    /// @inheritdoc IDeliveryRegistry
    function confirm(Confirmation calldata form, bytes calldata signature) external {
        Trip storage t = _trips[form.trip];
        if (t.confirmed) {
            bool same = t.accepted == form.accepted && t.condition == form.condition
                && t.confirmedAt == form.at;
            if (same) return; // the same receipt again
            revert TripAlreadyConfirmed(form.trip);
        }
        _requireOnRoad(form.trip, t);
        _requireInTime(form.expires);
        (uint32 version, bytes32 vehicle) = WAYBILLS.vehicleOf(form.trip);
        if (form.version != version) revert TripVersionStale(form.trip, version, form.version);
        if (form.vehicle != vehicle) {
            revert TripVehicleDiffers(form.trip, vehicle, form.vehicle);
        }
        if (form.accepted > t.loaded) {
            revert TripQuantityExceeds(form.trip, t.loaded, form.accepted);
        }
        if (form.condition > 3) revert TripConditionInvalid(form.trip, form.condition);
        if (form.at < t.loadedAt || form.at > block.timestamp + CLOCK_SKEW) {
            revert TripTimeInvalid(form.trip, form.at, uint64(block.timestamp));
        }
        _requireConfirmer(form, t);
        PARTIES.requireSignature(form.by, _hashTypedDataV4(form.hash()), signature);

        t.confirmed = true;
        t.accepted = form.accepted;
        t.condition = form.condition;
        t.confirmedAt = uint40(form.at);
        emit DeliveryConfirmed(
            form.trip, form.by, form.accepted, form.condition, form.document, form.at
        );
        _completeIfReady(form.trip, t);
    }

    /// @dev The consignee, or the debtor once k attestations have agreed for CONSIGNEE_SILENCE and still do.
    function _requireConfirmer(Confirmation calldata form, Trip storage t) private view {
        if (form.by == WAYBILLS.leafFacts(form.trip).consignee) return;
        PartyId standIn = _needs[form.trip].standIn;
        if (form.by != standIn || standIn == NOBODY) {
            revert TripConfirmerNotAllowed(form.trip, form.by);
        }
        uint64 from = t.agreedAt == 0 || _agreedOutcome(form.trip) == 0
            ? type(uint64).max
            : t.agreedAt + CONSIGNEE_SILENCE;
        if (block.timestamp < from) revert TripConsigneeNotSilentYet(form.trip, from);
    }

    // -- dispute ----------------------------------------------------------------------------------

    /// @inheritdoc IDeliveryRegistry
    function dispute(Dispute calldata form, bytes calldata signature) external {
        Trip storage t = _trips[form.trip];
        bool after_ = t.state == TripState.Delivered;
        if (t.disputed || (!after_ && t.state != TripState.Loaded)) {
            revert TripUnexpectedState(form.trip, stateOf(form.trip), TripState.Loaded);
        }
        _requireInTime(form.expires);
        if (!WAYBILLS.isPartyOfChain(WAYBILLS.leafOf(form.trip), form.by)) {
            revert DisputerNotAllowed(form.trip, form.by);
        }
        bytes32 digest = _use(form.hash());
        PARTIES.requireSignature(form.by, digest, signature);

        t.disputed = true;
        t.disputer = form.by;
        if (!after_) _move(t, TripState.Held);
        emit DeliveryDisputed(form.trip, form.by, form.reason, after_);
    }

    /// @inheritdoc IDeliveryRegistry
    function resolve(Resolution calldata form, bytes[] calldata signatures, bool byArbiter)
        external
    {
        Trip storage t = _trips[form.trip];
        bool voided = form.outcome == 2;
        if (form.outcome == 0 || form.outcome > 2) {
            revert TripOutcomeInvalid(form.trip, form.outcome);
        }
        // After completion the goods are there: a dispute can end, the delivery cannot.
        if (!t.disputed || (voided && t.state != TripState.Held)) {
            revert TripUnexpectedState(form.trip, stateOf(form.trip), TripState.Held);
        }
        _requireInTime(form.expires);
        _requireResolvers(form, t.disputer, signatures, byArbiter);

        t.disputed = false;
        t.disputer = NOBODY;
        emit DisputeResolved(form.trip, form.outcome, form.document);
        if (voided) {
            _void(form.trip, t);
        } else if (t.state == TripState.Held) {
            _move(t, TripState.Loaded);
            _completeIfReady(form.trip, t);
        }
    }

    /// @dev Who raised it and his counterpart: the driver, or the consignee where the driver raised it. Or the arbiter.
    function _requireResolvers(
        Resolution calldata form,
        PartyId disputer,
        bytes[] calldata signatures,
        bool byArbiter
    ) private {
        bytes32 digest = _use(form.hash());
        if (signatures.length != (byArbiter ? 1 : 2)) revert TripSignaturesMissing(form.trip);
        if (byArbiter) {
            PARTIES.requireSignature(arbiter, digest, signatures[0]);
            return;
        }
        LeafFacts memory leaf = WAYBILLS.leafFacts(form.trip);
        PartyId counterpart = disputer == leaf.performer ? leaf.consignee : leaf.performer;
        PARTIES.requireSignature(disputer, digest, signatures[0]);
        PARTIES.requireSignature(counterpart, digest, signatures[1]);
    }

    /// @inheritdoc IDeliveryRegistry
    function expire(TripId trip) external {
        TripState state = stateOf(trip);
        if (state == TripState.None) revert TripUnknown(trip);
        if (state == TripState.Delivered || state == TripState.Void) {
            revert TripUnexpectedState(trip, state, TripState.Loaded);
        }
        uint64 wait = state == TripState.Held ? HELD_EXPIRY : EXPIRY;
        uint64 from = WAYBILLS.leafFacts(trip).deliverBy + wait;
        if (block.timestamp <= from) revert TripTimeInvalid(trip, from, uint64(block.timestamp));
        _void(trip, _trips[trip]);
    }

    // -- completion -------------------------------------------------------------------------------

    /// @dev Promise C, the only way to Delivered. State first, then the waybills, then whoever listens.
    function _completeIfReady(TripId trip, Trip storage t) private {
        if (t.state != TripState.Loaded || !t.confirmed) return;
        bytes32 outcome = _agreedOutcome(trip);
        if (outcome == 0) return;

        bytes32 root = _roots[outcome];
        if (root == 0) root = t.root;
        else t.root = root;
        uint64 at = uint64(block.timestamp);
        _move(t, TripState.Delivered);
        t.deliveredAt = uint40(at);
        _freeVehicle(trip);
        WAYBILLS.recordDelivery(trip, t.accepted, at);
        emit DeliveryCompleted(trip, t.accepted, t.loaded, root, at);
        _tell(trip, t.accepted, t.loaded, at);
    }

    /// @dev Whoever submits chooses the gas: too little refuses the whole call, so the listener cannot be starved
    /// while the delivery stands.
    function _tell(TripId trip, uint64 accepted, uint64 loaded, uint64 at) private {
        address listener = _listenerOf(trip);
        if (listener == address(0)) return;
        // A call hands over 63/64 of what is left.
        uint256 least = LISTENER_GAS * 64 / 63 + 10_000;
        if (gasleft() < least) revert DeliveryGasTooLow(gasleft(), least);
        try IDeliveryListener(listener).onDelivered(trip, accepted, loaded, at) {}
        catch (bytes memory reason) {
            emit ListenerFailed(trip, listener, reason);
        }
    }

    function _void(TripId trip, Trip storage t) private {
        _move(t, TripState.Void);
        t.disputed = false;
        _freeVehicle(trip);
        WAYBILLS.recordVoid(trip);
        emit TripVoided(trip);
    }

    function _freeVehicle(TripId trip) private {
        (, bytes32 vehicle) = WAYBILLS.vehicleOf(trip);
        if (_tripOfVehicle[vehicle] == trip) _tripOfVehicle[vehicle] = NO_TRIP;
    }

    // -- registrant -------------------------------------------------------------------------------

    /// @inheritdoc IDeliveryRegistry
    function watch(TripId trip, Watch calldata needs) external {
        if (msg.sender != REGISTRANT) revert DeliveryCallerNotAllowed(msg.sender);
        address listener = _listenerOf(trip);
        if (listener != address(0) && listener != needs.listener) {
            revert TripAlreadyWatched(trip, listener);
        }
        bool elsewhere = needs.listener != REGISTRANT;
        if (elsewhere) _otherListeners[trip] = needs.listener;
        _needs[trip] = Needs({
            attestor: needs.attestor,
            reviewer: needs.reviewer,
            standIn: needs.standIn,
            watched: true,
            elsewhere: elsewhere
        });
        delete _accepted[trip];
        // What is agreed for others may not be agreed for this lender: his silence is counted from now.
        Trip storage t = _trips[trip];
        if (t.agreedAt != 0) {
            t.agreedAt = _agreedOutcome(trip) == 0 ? 0 : uint40(block.timestamp);
        }
        emit TripWatched(trip, needs.listener, needs.attestor, needs.reviewer, needs.standIn);
    }

    // -- powers -----------------------------------------------------------------------------------

    /// @inheritdoc IDeliveryRegistry
    function addAttestor(PartyId attestor) external restricted {
        if (attestor == NOBODY) revert AttestorUnknown(attestor);
        if (_attestors[attestor].since != 0) revert AttestorAlreadyAdded(attestor);
        if (_attestorList.length == MAX_ATTESTORS) revert AttestorsTooMany(MAX_ATTESTORS);
        _attestors[attestor].since = uint40(block.timestamp);
        _attestorList.push(attestor);
        emit AttestorAdded(attestor, uint64(block.timestamp));
    }

    /// @inheritdoc IDeliveryRegistry
    function removeAttestor(PartyId attestor) external restricted {
        if (_attestors[attestor].since == 0) revert AttestorUnknown(attestor);
        delete _attestors[attestor];
        uint256 last = _attestorList.length - 1;
        for (uint256 i = 0; i <= last; i++) {
            if (_attestorList[i] == attestor) {
                _attestorList[i] = _attestorList[last];
                _attestorList.pop();
                break;
            }
        }
        emit AttestorRemoved(attestor);
    }

    /// @inheritdoc IDeliveryRegistry
    function setArbiter(PartyId newArbiter) external restricted {
        arbiter = newArbiter;
        emit ArbiterChanged(newArbiter);
    }

    // -- inside -----------------------------------------------------------------------------------

    /// @dev The only place where a state moves. What is not stored is open, which every caller has made sure of.
    function _move(Trip storage t, TripState to) private {
        assert(Moves.trip(t.state == TripState.None ? TripState.Open : t.state, to));
        t.state = to;
    }

    function _use(bytes32 structHash) private returns (bytes32 digest) {
        digest = _hashTypedDataV4(structHash);
        if (_used[digest]) revert DeliveryFormUsed(digest);
        _used[digest] = true;
    }

    function _getOnRoad(TripId trip) private view returns (Trip storage t) {
        t = _trips[trip];
        _requireOnRoad(trip, t);
    }

    /// @dev Loaded, or held by a dispute: evidence is taken, a held trip does not complete.
    function _requireOnRoad(TripId trip, Trip storage t) private view {
        if (t.state == TripState.Loaded || t.state == TripState.Held) return;
        TripState state = stateOf(trip);
        if (state == TripState.None) revert TripUnknown(trip);
        revert TripUnexpectedState(trip, state, TripState.Loaded);
    }

    function _requireInTime(uint64 expires) private view {
        if (block.timestamp > expires) {
            revert DeliveryFormExpired(expires, uint64(block.timestamp));
        }
    }
}
