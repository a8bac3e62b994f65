// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Where a form lies in calldata only assembly can say; hashing it in place spares a copy to memory.
/* solhint-disable no-inline-assembly */

import {
    Attestation,
    Confirmation,
    Dispute,
    Loading,
    Resolution,
    ReviewAcceptance,
    TrackBatch
} from "../types/DeliveryForms.sol";

import {FormHash} from "./FormHash.sol";

/// @title EIP-712 struct hashes of the forms in DeliveryForms.sol
library DeliveryHash {
    bytes32 internal constant LOADING = keccak256(
        "Loading(bytes32 trip,uint32 version,bytes32 vehicle,uint64 quantity,uint64 at,"
        "bytes32 document,uint64 expires,bytes32 salt)"
    );

    bytes32 internal constant TRACK_BATCH = keccak256(
        "TrackBatch(bytes32 trip,uint64 attestor,uint32 index,bytes32 root,uint32 count,"
        "uint64 firstTime,uint64 lastTime)"
    );

    bytes32 internal constant CONFIRMATION = keccak256(
        "Confirmation(bytes32 trip,uint64 by,uint32 version,bytes32 vehicle,"
        "uint64 accepted,uint8 condition,bytes32 document,uint64 at,uint64 expires," "bytes32 salt)"
    );

    bytes32 internal constant ATTESTATION = keccak256(
        "Attestation(bytes32 trip,uint64 attestor,uint32 version,bytes32 vehicle,"
        "bytes32 plan,bytes32 policy,bytes32 root,uint8 verdict,bytes32 findings,"
        "uint64 departedAt,uint64 arrivedAt,uint32 distanceM,uint32 fixes,uint16 lateBps,"
        "uint64 expires,bytes32 salt)"
    );

    bytes32 internal constant REVIEW_ACCEPTANCE = keccak256(
        "ReviewAcceptance(bytes32 trip,bytes32 root,bytes32 findings,uint64 expires,"
        "bytes32 salt)"
    );

    bytes32 internal constant DISPUTE =
        keccak256("Dispute(bytes32 trip,uint64 by,bytes32 reason,uint64 expires,bytes32 salt)");

    bytes32 internal constant RESOLUTION = keccak256(
        "Resolution(bytes32 trip,uint8 outcome,bytes32 document,uint64 expires," "bytes32 salt)"
    );

    function hash(Loading calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(LOADING, at, 8);
    }

    function hash(TrackBatch calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(TRACK_BATCH, at, 7);
    }

    function hash(Confirmation calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(CONFIRMATION, at, 10);
    }

    function hash(Attestation calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(ATTESTATION, at, 16);
    }

    function hash(ReviewAcceptance calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(REVIEW_ACCEPTANCE, at, 5);
    }

    function hash(Dispute calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(DISPUTE, at, 5);
    }

    function hash(Resolution calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(RESOLUTION, at, 5);
    }
}
