// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PartyId, TripId} from "../types/Ids.sol";
import {TripState, Verdict} from "../types/States.sol";
import {
    Attestation,
    Confirmation,
    Dispute,
    Loading,
    Resolution,
    ReviewAcceptance,
    TrackBatch
} from "../types/DeliveryForms.sol";

/// @notice What a trip's delivery needs beside the rule of all: set once, by the registrant fixed at construction.
/// @param listener told in the completing transaction. @param attestor one attestation must be his.
/// @param reviewer may accept a review. @param standIn may confirm when the consignee stays silent (the debtor).
struct Watch {
    address listener;
    PartyId attestor;
    PartyId reviewer;
    PartyId standIn;
}

/// @notice A trip as it stands now.
struct TripRecord {
    TripState state;
    bool disputed;
    bool confirmed;
    uint64 loaded;
    uint64 accepted;
    uint8 condition;
    uint64 loadedAt;
    uint64 deliveredAt;
    uint32 batches;
    uint64 committedTo;
    bytes32 root;
    bytes32 vehicle;
}

/// @title Loading, trajectory evidence, receipt, delivery
/// @notice Promise C. Knows no money. A delivery completes in whichever call lands last; every call may be repeated
/// with the same content without harm.
interface IDeliveryRegistry {
    event TripLoaded(
        TripId indexed trip, bytes32 indexed vehicle, uint64 quantity, uint64 at, bytes32 document
    );
    event TrackCommitted(
        TripId indexed trip,
        uint32 indexed index,
        bytes32 root,
        uint32 count,
        uint64 firstTime,
        uint64 lastTime
    );
    event DeliveryConfirmed(
        TripId indexed trip,
        PartyId indexed by,
        uint64 accepted,
        uint8 condition,
        bytes32 document,
        uint64 at
    );
    event DriveAttested(
        TripId indexed trip,
        PartyId indexed attestor,
        Verdict verdict,
        bytes32 root,
        bytes32 policy,
        bytes32 findings,
        uint64 departedAt,
        uint64 arrivedAt,
        uint32 distanceM,
        uint32 fixes,
        uint16 lateBps
    );
    event ReviewAccepted(
        TripId indexed trip, PartyId indexed reviewer, bytes32 root, bytes32 findings
    );
    event DeliveryDisputed(
        TripId indexed trip, PartyId indexed by, bytes32 reason, bool afterCompletion
    );
    event DisputeResolved(TripId indexed trip, uint8 outcome, bytes32 document);
    event DeliveryCompleted(
        TripId indexed trip, uint64 accepted, uint64 loaded, bytes32 root, uint64 at
    );
    event ListenerFailed(TripId indexed trip, address indexed listener, bytes reason);
    event TripVoided(TripId indexed trip);
    event TripWatched(
        TripId indexed trip,
        address indexed listener,
        PartyId attestor,
        PartyId reviewer,
        PartyId standIn
    );
    event AttestorAdded(PartyId indexed attestor, uint64 since);
    event AttestorRemoved(PartyId indexed attestor);
    event ArbiterChanged(PartyId indexed arbiter);

    error TripUnknown(TripId trip);
    error TripUnexpectedState(TripId trip, TripState current, TripState wanted);
    error TripVersionStale(TripId trip, uint32 current, uint32 given);
    error TripVehicleDiffers(TripId trip, bytes32 expected, bytes32 given);
    error TripPlanDiffers(TripId trip, bytes32 expected, bytes32 given);
    error TripPolicyDiffers(TripId trip, bytes32 expected, bytes32 given);
    error TripQuantityDiffers(TripId trip, uint64 expected, uint64 given);
    error TripQuantityExceeds(TripId trip, uint64 most, uint64 given);
    error TripAlreadyConfirmed(TripId trip);
    error TripConfirmerNotAllowed(TripId trip, PartyId by);
    error TripConsigneeNotSilentYet(TripId trip, uint64 from);
    error TripTimeInvalid(TripId trip, uint64 given, uint64 nowAt);
    error VehicleBusy(bytes32 vehicle, TripId trip);
    error TrackBatchOutOfOrder(TripId trip, uint32 expected, uint32 given);
    error TrackBatchSpanInvalid(TripId trip, uint64 firstTime, uint64 lastTime);
    error TripConditionInvalid(TripId trip, uint8 condition);
    error TripOutcomeInvalid(TripId trip, uint8 outcome);
    error TripSignaturesMissing(TripId trip);
    error AttestorThresholdZero();
    error AttestorsTooMany(uint256 most);
    error AttestorUnknown(PartyId attestor);
    error AttestorIsParty(TripId trip, PartyId attestor);
    error AttestorTooNew(TripId trip, PartyId attestor);
    error AttestorAlreadyAdded(PartyId attestor);
    error VerdictInvalid(uint8 verdict);
    error ReviewerNotAllowed(TripId trip);
    error DisputerNotAllowed(TripId trip, PartyId by);
    error DeliveryFormExpired(uint64 expires, uint64 nowAt);
    error DeliveryFormUsed(bytes32 digest);
    error DeliveryGasTooLow(uint256 gas, uint256 least);
    error TripAlreadyWatched(TripId trip, address listener);
    error DeliveryCallerNotAllowed(address caller);

    /// @notice The driver says that he is loaded; his vehicle is locked until delivery or void.
    /// @dev Repeating it does nothing. The clock of a signer may run five minutes ahead of the chain.
    /// @custom:access Anyone; authority comes from the signatures.
    function load(Loading calldata form, bytes calldata driverSignature) external;
    /// @notice Commits the next batch of fixes; append-only. Repeating the last batch does nothing.
    /// @custom:access Anyone; authority comes from the signatures.
    function commitTrack(TrackBatch calldata form, bytes calldata signature) external;
    /// @notice The receipt of the consignee, or of Watch.standIn CONSIGNEE_SILENCE after k attestations agreed.
    /// @dev May complete the delivery; then gas for the listener is needed (LISTENER_GAS).
    /// @custom:access Anyone; authority comes from the signatures.
    function confirm(Confirmation calldata form, bytes calldata signature) external;
    /// @notice An attestor's verdict; he may replace it until completion, afterwards a first one is kept as evidence only.
    /// @dev Attestations agree when root, findings and verdict are the same. May complete the delivery. The word that stands again
    /// does nothing; a form serves once, so one that was replaced cannot be played again.
    /// @custom:access Anyone; authority comes from the signatures.
    function attest(Attestation calldata form, bytes calldata signature) external;
    /// @notice The trip's reviewer (its lender) accepts what was found on the road: a review counts as a pass then, and his
    /// signature stands for his attestor's, who may have been removed. It never replaces the k attestations.
    /// @custom:access Anyone; authority comes from the signatures.
    function acceptReview(ReviewAcceptance calldata form, bytes calldata signature) external;
    /// @notice Holds a loaded trip, or marks a delivered one. Signed by any party of the chain.
    /// Warning: a dispute holds the driver's money; the resolution of both sides or of the arbiter frees it.
    /// @custom:access Anyone; authority comes from the signatures.
    function dispute(Dispute calldata form, bytes calldata signature) external;
    /// @notice Ends a dispute; after completion only with outcome 1.
    /// @custom:access Anyone; authority comes from the signatures.
    /// @param signatures the disputer's and the leaf performer's, or the arbiter's alone (byArbiter).
    function resolve(Resolution calldata form, bytes[] calldata signatures, bool byArbiter) external;
    /// @notice Voids a trip whose window ended EXPIRY ago without completion; frees the vehicle. Anyone.
    /// @custom:access Anyone.
    function expire(TripId trip) external;
    /// @notice Sets listener and needs of a trip, once. Only the registrant fixed at construction.
    /// @dev A later advance of the same registrant may renew the needs after the earlier one was voided.
    /// @custom:access FreightAdvance only.
    function watch(TripId trip, Watch calldata needs) external;
    /// @notice Adds an attestor; he counts for trips whose leaf is issued from now on.
    /// Warning: k attestors together decide what road was driven.
    /// @custom:access Restricted by the AccessManager, with a delay.
    function addAttestor(PartyId attestor) external;
    /// @notice Removes an attestor; what he said counts no more, at once, on every trip not yet delivered.
    /// @custom:access Restricted by the AccessManager, without delay.
    function removeAttestor(PartyId attestor) external;
    /// @notice Names who may resolve disputes alone.
    /// @custom:access Restricted by the AccessManager, with a delay.
    function setArbiter(PartyId arbiter) external;

    /// @notice Seconds between the agreement of k attestations and the right of the debtor to confirm.
    function CONSIGNEE_SILENCE() external view returns (uint64);
    /// @notice Seconds after the window from which anyone may void a trip that never completed.
    function EXPIRY() external view returns (uint64);
    /// @notice The same for a trip held by a dispute.
    function HELD_EXPIRY() external view returns (uint64);
    /// @notice Gas that the listener gets at least; a completing call needs this and 1/63 more when it calls.
    function LISTENER_GAS() external view returns (uint256);
    /// @notice Most attestors there may be at one time.
    function MAX_ATTESTORS() external view returns (uint256);
    /// @notice The party whose word alone resolves a dispute.
    function arbiter() external view returns (PartyId);
    /// @notice Open for a trip whose leaf is issued and not loaded; Void also for one whose leaf was cancelled.
    function stateOf(TripId trip) external view returns (TripState);
    /// @notice All present attestors, at most MAX_ATTESTORS.
    function attestors() external view returns (PartyId[] memory);
    /// @notice True if k present attestors, the required one among them, agree on an outcome that may complete.
    function isAgreed(TripId trip) external view returns (bool);
    /// @notice A trip as it stands now; state None if no leaf names it.
    function get(TripId trip) external view returns (TripRecord memory);
    /// @notice How a trip ended, in short.
    function outcomeOf(TripId trip)
        external
        view
        returns (TripState state, bool disputed, uint64 accepted, uint64 loaded, uint64 deliveredAt);
    /// @notice What a trip needs beside the rule of all; all zero if nothing.
    function watchOf(TripId trip) external view returns (Watch memory);
    /// @notice k: how many attestations must agree.
    function threshold() external view returns (uint256);
    /// @notice True while his word counts.
    function isAttestor(PartyId attestor) external view returns (bool);
    /// @notice The trip that a vehicle is locked on, zero if none.
    function tripOfVehicle(bytes32 vehicle) external view returns (TripId);
    /// @notice Head of the hash chain over the committed batches: keccak(previous, index, root, count, first, last).
    function trackHead(TripId trip) external view returns (bytes32);
    /// @notice True if the fix is a leaf of the tree with this root (StandardMerkleTree, leaves (index, time, lat, lon)).
    function proveFix(
        bytes32 root,
        bytes32[] calldata proof,
        uint32 index,
        uint64 time,
        int32 latE6,
        int32 lonE6
    ) external pure returns (bool);
}
