// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {IDeliveryRegistry, TripRecord, Watch} from "./interfaces/IDeliveryRegistry.sol";
import {IWaybillRegistry} from "./interfaces/IWaybillRegistry.sol";
import {NOBODY, PartyId, TripId} from "./types/Ids.sol";
import {TripState, Verdict, WaybillState} from "./types/States.sol";

/// @title The book of trips: what is stored, who agrees on what, and how it is read
/// @notice Nothing here moves anything; DeliveryRegistry writes. The manual is IDeliveryRegistry.
abstract contract TripBook is IDeliveryRegistry {
    // -- what is stored ---------------------------------------------------------------------------

    /// @dev Open is not stored: a trip without a record whose leaf stands is open. Two slots and two hashes.
    struct Trip {
        TripState state;
        bool disputed;
        bool confirmed;
        uint8 condition;
        uint64 loaded;
        uint40 loadedAt;
        uint32 batches;
        uint40 committedTo;
        bytes5 lastBatch; // marks the last batch so that its repetition is known
        // slot
        uint64 accepted;
        uint40 confirmedAt;
        uint40 agreedAt; // when k attestations agreed, 0 while they do not
        uint40 deliveredAt;
        PartyId disputer;
        // slots
        bytes32 head;
        bytes32 root;
    }

    /// @dev A Watch in one slot: its listener is nearly always the registrant.
    struct Needs {
        PartyId attestor;
        PartyId reviewer;
        PartyId standIn;
        bool watched;
        bool elsewhere; // the listener stands in _otherListeners
    }

    /// @dev `since` is 0 for who is no attestor.
    struct Attestor {
        uint40 since;
    }

    IWaybillRegistry internal immutable WAYBILLS;
    /// @dev FreightAdvance, which alone says what a trip's lender needs.
    address internal immutable REGISTRANT;
    uint256 internal immutable THRESHOLD;

    /// @inheritdoc IDeliveryRegistry
    PartyId public arbiter;

    mapping(TripId trip => Trip) internal _trips;
    mapping(TripId trip => Needs) internal _needs;
    /// @dev Only where it is not the registrant itself.
    mapping(TripId trip => address) internal _otherListeners;
    mapping(bytes32 vehicle => TripId) internal _tripOfVehicle;
    mapping(PartyId attestor => Attestor) internal _attestors;
    PartyId[] internal _attestorList;
    /// @dev What an attestor said of a trip: a hash of (root, findings) whose last byte is the verdict.
    mapping(TripId trip => mapping(PartyId attestor => bytes32 outcome)) internal _outcomes;
    /// @dev Of outcomes whose root is not the one that the trip keeps.
    mapping(bytes32 outcome => bytes32 root) internal _roots;
    /// @dev The mark of (root, findings) that the trip's lender has accepted.
    mapping(TripId trip => bytes32 mark) internal _accepted;

    constructor(IWaybillRegistry waybills, address registrant, uint256 k) {
        if (k == 0) revert AttestorThresholdZero();
        WAYBILLS = waybills;
        REGISTRANT = registrant;
        THRESHOLD = k;
    }

    // -- who agrees --------------------------------------------------------------------------------

    /// @dev The outcome on which at least k present attestors agree, the lender's choice among them (or accepted by himself);
    /// 0 if there is none. Counted anew over the present attestors each time, so a removed one counts no more, at once.
    function _agreedOutcome(TripId trip) internal view returns (bytes32) {
        bytes32[] memory outcomes = new bytes32[](_attestorList.length);
        bytes32 required = _countingOutcomes(trip, outcomes);
        bool anyAttestor = _needs[trip].attestor == NOBODY;
        bytes32 accepted = _accepted[trip];
        for (uint256 i = 0; i + THRESHOLD <= outcomes.length; i++) {
            bytes32 outcome = outcomes[i];
            if (outcome == 0) continue;
            if (!anyAttestor && outcome != required && _markIn(outcome) != accepted) continue;
            uint256 votes = 1;
            for (uint256 j = i + 1; j < outcomes.length; j++) {
                if (outcomes[j] == outcome) votes++;
            }
            if (votes >= THRESHOLD) return outcome;
        }
        return 0;
    }

    /// @dev What each present attestor said, if it can complete: pass, or an accepted review; 0 where it cannot.
    /// @return required what the attestor said whom the lender chose.
    function _countingOutcomes(TripId trip, bytes32[] memory outcomes)
        internal
        view
        returns (bytes32 required)
    {
        PartyId chosen = _needs[trip].attestor;
        bytes32 accepted = _accepted[trip];
        uint64 issuedAt = WAYBILLS.leafFacts(trip).issuedAt;
        for (uint256 i = 0; i < outcomes.length; i++) {
            PartyId attestor = _attestorList[i];
            bytes32 outcome = _outcomes[trip][attestor];
            if (outcome == 0 || _attestors[attestor].since > issuedAt) continue;
            uint8 verdict = uint8(uint256(outcome));
            bool counts = verdict == uint8(Verdict.Pass)
                || (verdict == uint8(Verdict.Review) && _markIn(outcome) == accepted);
            if (!counts) continue;
            outcomes[i] = outcome;
            if (attestor == chosen) required = outcome;
        }
    }

    /// @dev The last byte is the verdict, so that what was said can be read back from the mark.
    function _outcomeOf(bytes32 root, bytes32 findings, uint8 verdict)
        internal
        pure
        returns (bytes32)
    {
        return _markOf(root, findings) | bytes32(uint256(verdict));
    }

    function _markOf(bytes32 root, bytes32 findings) internal pure returns (bytes32) {
        return _markIn(keccak256(abi.encode(root, findings)));
    }

    function _markIn(bytes32 outcome) internal pure returns (bytes32) {
        return outcome & ~bytes32(uint256(0xff));
    }

    // -- reading ----------------------------------------------------------------------------------

    /// @inheritdoc IDeliveryRegistry
    function get(TripId trip) external view returns (TripRecord memory) {
        Trip storage t = _trips[trip];
        (, bytes32 vehicle) = WAYBILLS.vehicleOf(trip);
        return TripRecord({
            state: stateOf(trip),
            disputed: t.disputed,
            confirmed: t.confirmed,
            loaded: t.loaded,
            accepted: t.accepted,
            condition: t.condition,
            loadedAt: t.loadedAt,
            deliveredAt: t.deliveredAt,
            batches: t.batches,
            committedTo: t.committedTo,
            root: t.state == TripState.Delivered ? t.root : bytes32(0),
            vehicle: vehicle
        });
    }

    /// @inheritdoc IDeliveryRegistry
    function stateOf(TripId trip) public view returns (TripState state) {
        state = _trips[trip].state;
        if (state == TripState.None) {
            WaybillState leaf = WAYBILLS.leafFacts(trip).state;
            if (leaf == WaybillState.Issued) state = TripState.Open;
            if (leaf == WaybillState.Cancelled) state = TripState.Void;
        }
    }

    /// @inheritdoc IDeliveryRegistry
    function outcomeOf(TripId trip)
        external
        view
        returns (TripState state, bool disputed, uint64 accepted, uint64 loaded, uint64 deliveredAt)
    {
        Trip storage t = _trips[trip];
        return (stateOf(trip), t.disputed, t.accepted, t.loaded, t.deliveredAt);
    }

    /// @inheritdoc IDeliveryRegistry
    function watchOf(TripId trip) external view returns (Watch memory) {
        Needs storage n = _needs[trip];
        return Watch({
            listener: _listenerOf(trip),
            attestor: n.attestor,
            reviewer: n.reviewer,
            standIn: n.standIn
        });
    }

    /// @inheritdoc IDeliveryRegistry
    function threshold() external view returns (uint256) {
        return THRESHOLD;
    }

    /// @inheritdoc IDeliveryRegistry
    function isAttestor(PartyId attestor) external view returns (bool) {
        return _attestors[attestor].since != 0;
    }

    /// @inheritdoc IDeliveryRegistry
    function attestors() external view returns (PartyId[] memory) {
        return _attestorList;
    }

    /// @inheritdoc IDeliveryRegistry
    function isAgreed(TripId trip) external view returns (bool) {
        return _agreedOutcome(trip) != 0;
    }

    /// @inheritdoc IDeliveryRegistry
    function tripOfVehicle(bytes32 vehicle) external view returns (TripId) {
        return _tripOfVehicle[vehicle];
    }

    /// @inheritdoc IDeliveryRegistry
    function trackHead(TripId trip) external view returns (bytes32) {
        return _trips[trip].head;
    }

    /// @inheritdoc IDeliveryRegistry
    function proveFix(
        bytes32 root,
        bytes32[] calldata proof,
        uint32 index,
        uint64 time,
        int32 latE6,
        int32 lonE6
    ) external pure returns (bool) {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(index, time, latE6, lonE6))));
        return MerkleProof.verifyCalldata(proof, root, leaf);
    }

    function _listenerOf(TripId trip) internal view returns (address) {
        Needs storage n = _needs[trip];
        if (!n.watched) return address(0);
        return n.elsewhere ? _otherListeners[trip] : REGISTRANT;
    }
}
