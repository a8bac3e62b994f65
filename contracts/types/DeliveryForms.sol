// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PartyId, TripId} from "./Ids.sol";

/// @notice The truck is loaded. Signed by the performer of the leaf (the driver).
/// @param quantity what was loaded, thousandths of the unit; equal to the waybill's (another quantity needs an amendment first).
struct Loading {
    TripId trip;
    uint32 version;
    bytes32 vehicle;
    uint64 quantity;
    uint64 at;
    bytes32 document;
    uint64 expires;
    bytes32 salt;
}

/// @notice A batch of fixes committed while the truck drives. Signed by an attestor; index counts from 0.
/// @param count fixes in the batch; @param firstTime and @param lastTime their span by the device's clock.
struct TrackBatch {
    TripId trip;
    PartyId attestor;
    uint32 index;
    bytes32 root;
    uint32 count;
    uint64 firstTime;
    uint64 lastTime;
}

/// @notice The consignee's receipt (or, where he stays silent, the debtor's).
/// @param accepted quantity accepted, at most the quantity loaded.
/// @param condition 0 sound, 1 damaged, 2 short, 3 short and damaged.
/// @param document salted hash of the signed receipt with photos.
struct Confirmation {
    TripId trip;
    PartyId by;
    uint32 version;
    bytes32 vehicle;
    uint64 accepted;
    uint8 condition;
    bytes32 document;
    uint64 at;
    uint64 expires;
    bytes32 salt;
}

/// @notice An attestor's signed verdict on the drive, recomputed by himself from the raw evidence.
/// @param root Merkle root of the final ordered fixes; @param policy hash of the judge's policy file.
/// @param verdict 1 pass, 2 review, 3 fail.
/// @param findings hash of the canonical verdict with its findings.
/// @param distanceM metres driven; @param fixes number of fixes used.
/// @param lateBps share of the distance committed late, in 1/10,000.
struct Attestation {
    TripId trip;
    PartyId attestor;
    uint32 version;
    bytes32 vehicle;
    bytes32 plan;
    bytes32 policy;
    bytes32 root;
    uint8 verdict;
    bytes32 findings;
    uint64 departedAt;
    uint64 arrivedAt;
    uint32 distanceM;
    uint32 fixes;
    uint16 lateBps;
    uint64 expires;
    bytes32 salt;
}

/// @notice The lender accepts a drive whose attestations say review. Signed by the trip's lender.
struct ReviewAcceptance {
    TripId trip;
    bytes32 root;
    bytes32 findings;
    uint64 expires;
    bytes32 salt;
}

/// @notice Holds a delivery before completion, or marks the receivable after it. Signed by a party of the chain.
struct Dispute {
    TripId trip;
    PartyId by;
    bytes32 reason;
    uint64 expires;
    bytes32 salt;
}

/// @notice Ends a dispute. Signed by who raised it and by the consignee's side's counterpart, or by the arbiter.
/// @param outcome 1 the delivery goes on, 2 the trip is void.
struct Resolution {
    TripId trip;
    uint8 outcome;
    bytes32 document;
    uint64 expires;
    bytes32 salt;
}
