// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PartyId} from "./Ids.sol";

/// @notice Enrols a party. Signed by its key (consent) and by the registrar (know your customer).
/// @param profile salted hash of who the party is; the preimage is off chain and can be forgotten.
struct PartyRegistration {
    PartyId party;
    address key;
    bytes32 profile;
    uint64 expires;
    bytes32 salt;
}

/// @notice Replaces a key. Signed by the present key and by the new one.
struct KeyRotation {
    PartyId party;
    address newKey;
    uint64 expires;
    bytes32 salt;
}

/// @notice Replaces a lost key after a waiting time. Signed by the registrar and by the new key;
/// the present key may cancel while it waits.
struct KeyRecovery {
    PartyId party;
    address newKey;
    uint64 expires;
    bytes32 salt;
}

/// @notice The present key stops a recovery that waits. Signed by the present key.
struct RecoveryCancellation {
    PartyId party;
    address newKey;
    uint64 readyAt;
}

/// @notice Takes a key out of use at once. Signed by the key itself or by the registrar.
struct KeyRevocation {
    PartyId party;
    address key;
    uint64 expires;
    bytes32 salt;
}
