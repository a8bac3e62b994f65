// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IPartyRegistry} from "./interfaces/IPartyRegistry.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {PartyHash} from "./libraries/PartyHash.sol";
import {NOBODY, PartyId} from "./types/Ids.sol";
import {
    KeyRecovery,
    KeyRevocation,
    KeyRotation,
    PartyRegistration,
    RecoveryCancellation
} from "./types/PartyForms.sol";

/// @title Parties and the one key that speaks for each
/// @notice The manual is IPartyRegistry.
contract PartyRegistry is IPartyRegistry, EIP712, AccessManaged {
    using PartyHash for *;

    // -- what is stored ---------------------------------------------------------------------------

    /// @dev `key` is zero while revoked; `enrolled` stays.
    struct Party {
        address key;
        bool enrolled;
    }

    struct Recovery {
        address newKey;
        uint64 readyAt;
    }

    /// @inheritdoc IPartyRegistry
    uint64 public constant RECOVERY_WAIT = 3 days;

    /// @inheritdoc IPartyRegistry
    address public registrar;

    mapping(PartyId party => Party) private _parties;
    /// @dev Whose key an address is or ever was: a key serves one party once, so an old rotation cannot be played again.
    mapping(address key => PartyId) private _owners;
    mapping(PartyId party => Recovery) private _recoveries;
    mapping(bytes32 digest => bool) private _used;

    constructor(address authority, address firstRegistrar)
        EIP712("Yundan", "1")
        AccessManaged(authority)
    {
        registrar = firstRegistrar;
        emit RegistrarChanged(firstRegistrar);
    }

    // -- enrolment --------------------------------------------------------------------------------

    /// @inheritdoc IPartyRegistry
    function register(
        PartyRegistration calldata form,
        bytes calldata keySignature,
        bytes calldata registrarSignature
    ) external {
        _requireInTime(form.expires);
        if (form.party == NOBODY) revert PartyUnknown(form.party);
        if (_parties[form.party].enrolled) revert PartyAlreadyRegistered(form.party);
        bytes32 digest = _hashTypedDataV4(form.hash());
        _requireKeySignature(form.party, form.key, digest, keySignature);
        _requireRegistrar(digest, registrarSignature);

        _claim(form.key, form.party);
        _parties[form.party] = Party({key: form.key, enrolled: true});
        emit PartyRegistered(form.party, form.key, form.profile);
    }

    // -- change of key ----------------------------------------------------------------------------

    /// @inheritdoc IPartyRegistry
    function rotateKey(
        KeyRotation calldata form,
        bytes calldata oldSignature,
        bytes calldata newSignature
    ) external {
        _requireInTime(form.expires);
        bytes32 digest = _hashTypedDataV4(form.hash());
        requireSignature(form.party, digest, oldSignature);
        _requireKeySignature(form.party, form.newKey, digest, newSignature);
        _replaceKey(form.party, form.newKey);
    }

    /// @inheritdoc IPartyRegistry
    function proposeRecovery(
        KeyRecovery calldata form,
        bytes calldata registrarSignature,
        bytes calldata newSignature
    ) external {
        _requireInTime(form.expires);
        if (!_parties[form.party].enrolled) revert PartyUnknown(form.party);
        bytes32 digest = _hashTypedDataV4(form.hash());
        _use(digest);
        _requireRegistrar(digest, registrarSignature);
        _requireKeySignature(form.party, form.newKey, digest, newSignature);
        _requireUnclaimed(form.newKey);

        uint64 readyAt = uint64(block.timestamp) + RECOVERY_WAIT;
        _recoveries[form.party] = Recovery({newKey: form.newKey, readyAt: readyAt});
        emit KeyRecoveryProposed(form.party, form.newKey, readyAt);
    }

    /// @inheritdoc IPartyRegistry
    function cancelRecovery(PartyId party, bytes calldata signature) external {
        Recovery memory recovery = _getRecovery(party);
        bytes32 digest = _hashTypedDataV4(
            RecoveryCancellation({
                party: party, newKey: recovery.newKey, readyAt: recovery.readyAt
            }).hash()
        );
        requireSignature(party, digest, signature);
        delete _recoveries[party];
        emit KeyRecoveryCancelled(party, recovery.newKey);
    }

    /// @inheritdoc IPartyRegistry
    function finishRecovery(PartyId party) external {
        Recovery memory recovery = _getRecovery(party);
        if (block.timestamp < recovery.readyAt) {
            revert PartyRecoveryNotReady(party, recovery.readyAt);
        }
        delete _recoveries[party];
        _replaceKey(party, recovery.newKey);
    }

    /// @inheritdoc IPartyRegistry
    function revokeKey(KeyRevocation calldata form, bytes calldata signature, bool byRegistrar)
        external
    {
        _requireInTime(form.expires);
        address key = _parties[form.party].key;
        if (form.key != key || key == address(0)) {
            revert PartyKeyMismatch(form.party, form.key, key);
        }
        bytes32 digest = _hashTypedDataV4(form.hash());
        if (byRegistrar) _requireRegistrar(digest, signature);
        else requireSignature(form.party, digest, signature);

        // A revoked key never becomes the present key again, so this form cannot be used twice.
        _parties[form.party].key = address(0);
        emit KeyRevoked(form.party, key);
    }

    /// @inheritdoc IPartyRegistry
    function setRegistrar(address newRegistrar) external restricted {
        registrar = newRegistrar;
        emit RegistrarChanged(newRegistrar);
    }

    // -- reading ----------------------------------------------------------------------------------

    /// @inheritdoc IPartyRegistry
    function requireSignature(PartyId party, bytes32 digest, bytes calldata signature) public view {
        if (!isSignature(party, digest, signature)) revert PartySignatureInvalid(party, digest);
    }

    /// @inheritdoc IPartyRegistry
    function isSignature(PartyId party, bytes32 digest, bytes calldata signature)
        public
        view
        returns (bool)
    {
        address key = _parties[party].key;
        return _isSignedBy(key, digest, signature);
    }

    /// @inheritdoc IPartyRegistry
    function isRegistered(PartyId party) external view returns (bool) {
        return _parties[party].enrolled;
    }

    /// @inheritdoc IPartyRegistry
    function keyOf(PartyId party) external view returns (address) {
        return _parties[party].key;
    }

    /// @inheritdoc IPartyRegistry
    function partyOf(address key) external view returns (PartyId) {
        PartyId owner = _owners[key];
        return _parties[owner].key == key ? owner : NOBODY;
    }

    /// @inheritdoc IPartyRegistry
    function recoveryOf(PartyId party) external view returns (address newKey, uint64 readyAt) {
        Recovery memory recovery = _recoveries[party];
        return (recovery.newKey, recovery.readyAt);
    }

    /// @inheritdoc IPartyRegistry
    function accountOf(PartyId party) external pure returns (address) {
        return Accounts.ofParty(party);
    }

    // -- inside -----------------------------------------------------------------------------------

    function _replaceKey(PartyId party, address newKey) private {
        address oldKey = _parties[party].key;
        _claim(newKey, party);
        _parties[party].key = newKey;
        emit KeyRotated(party, oldKey, newKey);
    }

    function _claim(address key, PartyId party) private {
        _requireUnclaimed(key);
        _owners[key] = party;
    }

    function _use(bytes32 digest) private {
        if (_used[digest]) revert PartyFormUsed(digest);
        _used[digest] = true;
    }

    function _getRecovery(PartyId party) private view returns (Recovery memory recovery) {
        recovery = _recoveries[party];
        if (recovery.readyAt == 0) revert PartyRecoveryUnknown(party);
    }

    function _requireUnclaimed(address key) private view {
        PartyId owner = _owners[key];
        if (owner != NOBODY) revert PartyKeyInUse(key, owner);
    }

    /// @dev A key pair first, because most keys are: looking whether a wallet stands there costs as much as the check itself.
    /// No key pair of a wallet's address can be known, so the order decides nothing. The zero address never signs.
    function _isSignedBy(address key, bytes32 digest, bytes calldata signature)
        private
        view
        returns (bool)
    {
        if (key == address(0)) return false;
        if (signature.length == 65) {
            (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(digest, signature);
            if (problem == ECDSA.RecoverError.NoError && signer == key) return true;
        }
        return
            key.code.length != 0
                && SignatureChecker.isValidERC1271SignatureNow(key, digest, signature);
    }

    /// @dev For a key that is not yet the party's: the zero address never signs.
    function _requireKeySignature(
        PartyId party,
        address key,
        bytes32 digest,
        bytes calldata signature
    ) private view {
        if (!_isSignedBy(key, digest, signature)) {
            revert PartySignatureInvalid(party, digest);
        }
    }

    function _requireRegistrar(bytes32 digest, bytes calldata signature) private view {
        if (!_isSignedBy(registrar, digest, signature)) {
            revert PartyRegistrarSignatureInvalid(digest);
        }
    }

    function _requireInTime(uint64 expires) private view {
        if (block.timestamp > expires) revert PartyFormExpired(expires, uint64(block.timestamp));
    }
}
