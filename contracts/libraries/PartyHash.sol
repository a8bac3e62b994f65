// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Where a form lies in calldata only assembly can say; hashing it in place spares a copy to memory.
/* solhint-disable no-inline-assembly */

import {
    KeyRecovery,
    KeyRevocation,
    KeyRotation,
    PartyRegistration,
    RecoveryCancellation
} from "../types/PartyForms.sol";

import {FormHash} from "./FormHash.sol";

/// @title EIP-712 struct hashes of the forms in PartyForms.sol
library PartyHash {
    bytes32 internal constant PARTY_REGISTRATION = keccak256(
        "PartyRegistration(uint64 party,address key,bytes32 profile,uint64 expires," "bytes32 salt)"
    );

    bytes32 internal constant KEY_ROTATION =
        keccak256("KeyRotation(uint64 party,address newKey,uint64 expires,bytes32 salt)");

    bytes32 internal constant KEY_RECOVERY =
        keccak256("KeyRecovery(uint64 party,address newKey,uint64 expires,bytes32 salt)");

    bytes32 internal constant RECOVERY_CANCELLATION =
        keccak256("RecoveryCancellation(uint64 party,address newKey,uint64 readyAt)");

    bytes32 internal constant KEY_REVOCATION =
        keccak256("KeyRevocation(uint64 party,address key,uint64 expires,bytes32 salt)");

    function hash(PartyRegistration calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(PARTY_REGISTRATION, at, 5);
    }

    function hash(KeyRotation calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(KEY_ROTATION, at, 4);
    }

    function hash(KeyRecovery calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(KEY_RECOVERY, at, 4);
    }

    function hash(RecoveryCancellation memory form) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECOVERY_CANCELLATION, form));
    }

    function hash(KeyRevocation calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(KEY_REVOCATION, at, 4);
    }
}
