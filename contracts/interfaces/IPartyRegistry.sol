// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PartyId} from "../types/Ids.sol";
import {KeyRecovery, KeyRevocation, KeyRotation, PartyRegistration} from "../types/PartyForms.sol";

/// @title Parties and the one key that speaks for each
/// @notice Every signature of the system is checked here: an EOA by ECDSA with low s, a contract by ERC-1271.
/// A change of key changes no party: money and records hang on the PartyId. What a key signed while it
/// was in use stands; it was checked when it was recorded.
interface IPartyRegistry {
    event PartyRegistered(PartyId indexed party, address indexed key, bytes32 profile);
    event KeyRotated(PartyId indexed party, address indexed oldKey, address indexed newKey);
    event KeyRecoveryProposed(PartyId indexed party, address indexed newKey, uint64 readyAt);
    event KeyRecoveryCancelled(PartyId indexed party, address indexed newKey);
    event KeyRevoked(PartyId indexed party, address indexed key);
    event RegistrarChanged(address indexed registrar);

    error PartyUnknown(PartyId party);
    error PartyAlreadyRegistered(PartyId party);
    error PartyKeyInUse(address key, PartyId party);
    error PartyKeyMismatch(PartyId party, address key, address expected);
    error PartySignatureInvalid(PartyId party, bytes32 digest);
    error PartyRegistrarSignatureInvalid(bytes32 digest);
    error PartyFormExpired(uint64 expires, uint64 nowAt);
    error PartyFormUsed(bytes32 digest);
    error PartyRecoveryUnknown(PartyId party);
    error PartyRecoveryNotReady(PartyId party, uint64 readyAt);

    /// @notice Enrols a party: its key consents, the registrar has checked who it is.
    /// @dev A party id is enrolled once; a key serves one party in its whole life.
    /// @custom:access Anyone; authority comes from the signatures.
    function register(
        PartyRegistration calldata form,
        bytes calldata keySignature,
        bytes calldata registrarSignature
    ) external;
    /// @notice Replaces the present key at once. Signed by the present key and by the new one.
    /// Warning: who holds the present key can do this; a stolen key is stopped by revokeKey of the registrar.
    /// @custom:access Anyone; authority comes from the signatures.
    function rotateKey(
        KeyRotation calldata form,
        bytes calldata oldSignature,
        bytes calldata newSignature
    ) external;
    /// @notice Starts the replacement of a lost key; it takes effect after RECOVERY_WAIT through finishRecovery.
    /// Warning: registrar and new key together take a party over unless the present key stops them in time.
    /// @custom:access Anyone; authority comes from the signatures.
    function proposeRecovery(
        KeyRecovery calldata form,
        bytes calldata registrarSignature,
        bytes calldata newSignature
    ) external;
    /// @notice Stops a recovery that waits. Signed by the present key over RecoveryCancellation.
    /// @custom:access Anyone; authority comes from the signatures.
    function cancelRecovery(PartyId party, bytes calldata signature) external;
    /// @notice Carries out a recovery whose time has come.
    /// @custom:access Anyone.
    function finishRecovery(PartyId party) external;
    /// @notice Takes the present key out of use at once; only a recovery gives the party a key again.
    /// @param byRegistrar true if the signature is the registrar's, false if it is the key's own.
    /// @custom:access Anyone; authority comes from the signatures.
    function revokeKey(KeyRevocation calldata form, bytes calldata signature, bool byRegistrar)
        external;
    /// @notice Replaces who checks parties.
    /// Warning: a registrar can enrol anybody and start recoveries; it cannot sign for a party.
    /// @custom:access Restricted by the AccessManager, with a delay.
    function setRegistrar(address registrar) external;

    /// @notice Seconds that a recovery waits, so that the holder of the present key can stop it.
    function RECOVERY_WAIT() external view returns (uint64);
    /// @return newKey the key that waits to take over, zero if none; @return readyAt from when it may.
    function recoveryOf(PartyId party) external view returns (address newKey, uint64 readyAt);
    /// @notice Who checks parties: an address, EOA or ERC-1271.
    function registrar() external view returns (address);
    /// @notice True once enrolled, for ever.
    function isRegistered(PartyId party) external view returns (bool);
    /// @notice The key that speaks for a party now.
    /// @return the present key, zero while revoked or unknown.
    function keyOf(PartyId party) external view returns (address);
    /// @notice The party whose present key this is, NOBODY if it is none's (any more).
    function partyOf(address key) external view returns (PartyId);
    /// @notice Reverts with PartySignatureInvalid unless the present key of the party signed the digest.
    function requireSignature(PartyId party, bytes32 digest, bytes calldata signature) external view;
    /// @notice True if the present key of the party signed the digest.
    function isSignature(PartyId party, bytes32 digest, bytes calldata signature)
        external
        view
        returns (bool);
    /// @notice Where a party's tokens lie.
    /// @return the token account of a party: an address derived from its id, with no key behind it.
    function accountOf(PartyId party) external pure returns (address);
}
