// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

/// @dev A wallet that is a contract: says yes to one digest of its owner's.
contract Wallet {
    address private immutable OWNER;

    constructor(address owner) {
        OWNER = owner;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature)
        external
        view
        returns (bytes4)
    {
        (bytes32 r, bytes32 s, uint8 v) = abi.decode(signature, (bytes32, bytes32, uint8));
        return ecrecover(digest, v, r, s) == OWNER ? this.isValidSignature.selector : bytes4(0);
    }
}

contract PartyRegistryTest is Base {
    PartyId internal constant NEW = PartyId.wrap(77);

    function _register(PartyRegistration memory f, uint256 key, uint256 byRegistrar) internal {
        bytes32 h = hash(f);
        submit(
            address(parties),
            abi.encodeCall(
                parties.register,
                (f, signWith(key, address(parties), h), signWith(byRegistrar, address(parties), h))
            )
        );
    }

    function _form(PartyId party) internal returns (PartyRegistration memory) {
        return PartyRegistration({
            party: party,
            key: addressOf(party),
            profile: keccak256("profile"),
            expires: soon(),
            salt: salt()
        });
    }

    function _rotation(PartyId party, address newKey) internal returns (KeyRotation memory) {
        return KeyRotation({party: party, newKey: newKey, expires: soon(), salt: salt()});
    }

    function _rotate(KeyRotation memory f, uint256 oldKey, uint256 newKey) internal {
        bytes32 h = hash(f);
        submit(
            address(parties),
            abi.encodeCall(
                parties.rotateKey,
                (f, signWith(oldKey, address(parties), h), signWith(newKey, address(parties), h))
            )
        );
    }

    function _propose(KeyRecovery memory f, uint256 byRegistrar, uint256 newKey) internal {
        bytes32 h = hash(f);
        submit(
            address(parties),
            abi.encodeCall(
                parties.proposeRecovery,
                (
                    f,
                    signWith(byRegistrar, address(parties), h),
                    signWith(newKey, address(parties), h)
                )
            )
        );
    }

    function _recovery(PartyId party, address newKey) internal returns (KeyRecovery memory) {
        return KeyRecovery({party: party, newKey: newKey, expires: soon(), salt: salt()});
    }

    function _revoke(PartyId party, address key, uint256 signer, bool byRegistrar) internal {
        KeyRevocation memory f =
            KeyRevocation({party: party, key: key, expires: soon(), salt: salt()});
        submit(
            address(parties),
            abi.encodeCall(
                parties.revokeKey, (f, signWith(signer, address(parties), hash(f)), byRegistrar)
            )
        );
    }

    function test_register_enrols_a_party_with_its_key() public {
        enrol(NEW);
        assertTrue(parties.isRegistered(NEW));
        assertEq(parties.keyOf(NEW), addressOf(NEW));
        assertTrue(parties.partyOf(addressOf(NEW)) == NEW);
    }

    function test_register_refuses_a_late_form() public {
        PartyRegistration memory f = _form(NEW);
        f.expires = uint64(block.timestamp) - 1;
        refused(
            abi.encodeWithSelector(
                IPartyRegistry.PartyFormExpired.selector, f.expires, block.timestamp
            )
        );
        _register(f, keyOf(NEW), registrarKey);
    }

    function test_register_refuses_the_second_time_and_nobody() public {
        PartyRegistration memory f = _form(DRIVER);
        refused(abi.encodeWithSelector(IPartyRegistry.PartyAlreadyRegistered.selector, DRIVER));
        _register(f, keyOf(DRIVER), registrarKey);
        f = _form(NOBODY);
        refused(abi.encodeWithSelector(IPartyRegistry.PartyUnknown.selector, NOBODY));
        _register(f, keyOf(NOBODY), registrarKey);
    }

    function test_register_needs_the_key_and_the_registrar() public {
        PartyRegistration memory f = _form(NEW);
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        _register(f, keyOf(STRANGER), registrarKey);
        refused(IPartyRegistry.PartyRegistrarSignatureInvalid.selector);
        _register(f, keyOf(NEW), keyOf(NEW));
        f.key = address(0);
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        _register(f, keyOf(NEW), registrarKey);
    }

    function test_register_refuses_a_key_that_serves_another() public {
        PartyRegistration memory f = _form(NEW);
        f.key = addressOf(DRIVER);
        refused(
            abi.encodeWithSelector(IPartyRegistry.PartyKeyInUse.selector, addressOf(DRIVER), DRIVER)
        );
        _register(f, keyOf(DRIVER), registrarKey);
    }

    function test_rotateKey_keeps_the_party_and_retires_the_key_for_good() public {
        (address fresh, uint256 freshKey) = makeAddrAndKey("fresh");
        KeyRotation memory there = _rotation(DRIVER, fresh);
        _rotate(there, keyOf(DRIVER), freshKey);
        assertEq(parties.keyOf(DRIVER), fresh);
        assertTrue(parties.partyOf(fresh) == DRIVER);
        assertTrue(parties.partyOf(addressOf(DRIVER)) == NOBODY, "a retired key is nobody's");
        refused(IPartyRegistry.PartySignatureInvalid.selector); // the old form once more
        _rotate(there, keyOf(DRIVER), freshKey);
        refused(IPartyRegistry.PartyKeyInUse.selector); // nor back
        _rotate(_rotation(DRIVER, addressOf(DRIVER)), freshKey, keyOf(DRIVER));
    }

    function test_rotateKey_needs_both_keys() public {
        (address fresh, uint256 freshKey) = makeAddrAndKey("fresh");
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        _rotate(_rotation(DRIVER, fresh), keyOf(STRANGER), freshKey);
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        _rotate(_rotation(DRIVER, fresh), keyOf(DRIVER), keyOf(DRIVER));
    }

    function test_recovery_waits_and_the_present_key_can_stop_it() public {
        (address fresh, uint256 freshKey) = makeAddrAndKey("fresh");
        KeyRecovery memory f = _recovery(DRIVER, fresh);
        _propose(f, registrarKey, freshKey);
        (address waiting, uint64 readyAt) = parties.recoveryOf(DRIVER);
        assertEq(waiting, fresh);
        assertEq(readyAt, block.timestamp + parties.RECOVERY_WAIT());
        refused(
            abi.encodeWithSelector(IPartyRegistry.PartyRecoveryNotReady.selector, DRIVER, readyAt)
        );
        submit(address(parties), abi.encodeCall(parties.finishRecovery, (DRIVER)));

        bytes32 h = hash(RecoveryCancellation({party: DRIVER, newKey: fresh, readyAt: readyAt}));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(
            address(parties),
            abi.encodeCall(parties.cancelRecovery, (DRIVER, sign(STRANGER, address(parties), h)))
        );
        submit(
            address(parties),
            abi.encodeCall(parties.cancelRecovery, (DRIVER, sign(DRIVER, address(parties), h)))
        );
        refused(abi.encodeWithSelector(IPartyRegistry.PartyRecoveryUnknown.selector, DRIVER));
        submit(address(parties), abi.encodeCall(parties.finishRecovery, (DRIVER)));
        refused(IPartyRegistry.PartyFormUsed.selector); // the stopped proposal once more
        _propose(f, registrarKey, freshKey);
    }

    function test_recovery_gives_the_party_its_new_key() public {
        (address fresh, uint256 freshKey) = makeAddrAndKey("fresh");
        _propose(_recovery(DRIVER, fresh), registrarKey, freshKey);
        vm.warp(block.timestamp + parties.RECOVERY_WAIT());
        submit(address(parties), abi.encodeCall(parties.finishRecovery, (DRIVER)));
        assertEq(parties.keyOf(DRIVER), fresh);
    }

    function test_recovery_needs_registrar_new_key_and_a_known_party() public {
        (address fresh, uint256 freshKey) = makeAddrAndKey("fresh");
        refused(IPartyRegistry.PartyRegistrarSignatureInvalid.selector);
        _propose(_recovery(DRIVER, fresh), keyOf(DRIVER), freshKey);
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        _propose(_recovery(DRIVER, fresh), registrarKey, keyOf(DRIVER));
        refused(abi.encodeWithSelector(IPartyRegistry.PartyUnknown.selector, NEW));
        _propose(_recovery(NEW, fresh), registrarKey, freshKey);
        refused(IPartyRegistry.PartyKeyInUse.selector);
        _propose(_recovery(DRIVER, addressOf(SUB)), registrarKey, keyOf(SUB));
    }

    function test_revokeKey_by_the_key_or_the_registrar_silences_it_at_once() public {
        _revoke(DRIVER, addressOf(DRIVER), keyOf(DRIVER), false);
        _revoke(SUB, addressOf(SUB), registrarKey, true);
        assertEq(parties.keyOf(DRIVER), address(0));
        assertTrue(parties.isRegistered(DRIVER), "the party stands");
        assertFalse(parties.isSignature(SUB, "digest", sign(SUB, address(parties), "digest")));
        refused(
            abi.encodeWithSelector(
                IPartyRegistry.PartyKeyMismatch.selector, DRIVER, addressOf(DRIVER), address(0)
            )
        );
        _revoke(DRIVER, addressOf(DRIVER), keyOf(DRIVER), false);
        // Only the registrar's recovery brings it back.
        (address fresh, uint256 freshKey) = makeAddrAndKey("fresh");
        _propose(_recovery(DRIVER, fresh), registrarKey, freshKey);
        vm.warp(block.timestamp + 3 days);
        submit(address(parties), abi.encodeCall(parties.finishRecovery, (DRIVER)));
        assertEq(parties.keyOf(DRIVER), fresh);
    }

    function test_revokeKey_refuses_others() public {
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        _revoke(DRIVER, addressOf(DRIVER), keyOf(STRANGER), false);
        refused(IPartyRegistry.PartyRegistrarSignatureInvalid.selector);
        _revoke(DRIVER, addressOf(DRIVER), keyOf(DRIVER), true);
    }

    function test_setRegistrar_is_the_managers() public {
        refused(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, relayer));
        submit(address(parties), abi.encodeCall(parties.setRegistrar, (relayer)));
        vm.prank(admin);
        parties.setRegistrar(relayer);
        assertEq(parties.registrar(), relayer);
    }

    function test_a_contract_wallet_signs_by_erc1271() public {
        (address owner, uint256 ownerKey) = makeAddrAndKey("owner");
        address wallet = address(new Wallet(owner));
        PartyRegistration memory f = _form(NEW);
        f.key = wallet;
        bytes32 h = hash(f);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(ownerKey, digestOf(address(parties), h));
        submit(
            address(parties),
            abi.encodeCall(
                parties.register,
                (f, abi.encode(r, s, v), signWith(registrarKey, address(parties), h))
            )
        );
        bytes32 digest = keccak256("anything");
        (v, r, s) = vm.sign(ownerKey, digest);
        assertTrue(parties.isSignature(NEW, digest, abi.encode(r, s, v)));
        assertFalse(parties.isSignature(NEW, keccak256("other"), abi.encode(r, s, v)));
    }

    function test_a_signature_with_high_s_is_refused() public view {
        bytes32 digest = keccak256("anything");
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keyOf(DRIVER), digest);
        bytes32 n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        bytes32 high = bytes32(uint256(n) - uint256(s));
        assertTrue(parties.isSignature(DRIVER, digest, abi.encodePacked(r, s, v)));
        assertFalse(
            parties.isSignature(DRIVER, digest, abi.encodePacked(r, high, v == 27 ? 28 : 27))
        );
        assertFalse(parties.isSignature(DRIVER, digest, ""));
    }

    function test_accountOf_differs_for_every_party(uint64 a, uint64 b) public view {
        vm.assume(a != b);
        assertTrue(parties.accountOf(PartyId.wrap(a)) != parties.accountOf(PartyId.wrap(b)));
    }
}
