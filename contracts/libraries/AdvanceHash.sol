// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Where a form lies in calldata only assembly can say; hashing it in place spares a copy to memory.
/* solhint-disable no-inline-assembly */

import {
    Acknowledgement,
    AdvanceRequest,
    Approval,
    Gate,
    LenderAct,
    Payee,
    PayeeConsent,
    Repayment
} from "../types/AdvanceForms.sol";

import {FormHash} from "./FormHash.sol";

/// @title EIP-712 struct hashes of the forms in AdvanceForms.sol
library AdvanceHash {
    bytes32 internal constant PAYEE =
        keccak256("Payee(uint64 party,bytes32 waybill,bytes32 account,uint128 amount)");

    bytes32 internal constant ADVANCE_REQUEST = keccak256(
        "AdvanceRequest(bytes32 line,bytes32 waybill,bytes32 trip,uint128 principal,"
        "Payee[] payees,bytes32 fingerprint,bytes32 decision,uint64 expires,"
        "bytes32 salt)Payee(uint64 party,bytes32 waybill,bytes32 account,uint128 amount)"
    );

    bytes32 internal constant ACKNOWLEDGEMENT = keccak256(
        "Acknowledgement(bytes32 advance,uint64 debtor,bytes32 waybill,bytes32 trip,"
        "uint64 lender,bytes32 notice,uint64 expires,bytes32 salt)"
    );

    bytes32 internal constant PAYEE_CONSENT = keccak256(
        "PayeeConsent(bytes32 advance,uint64 party,bytes32 account,uint64 expires," "bytes32 salt)"
    );

    bytes32 internal constant APPROVAL = keccak256(
        "Approval(bytes32 advance,uint64 borrower,uint128 principal,uint64 approvedUntil,"
        "uint64 expires,bytes32 salt)"
    );

    bytes32 internal constant GATE =
        keccak256("Gate(bytes32 advance,bool open,bytes32 reason,uint64 expires,bytes32 salt)");

    bytes32 internal constant REPAYMENT =
        keccak256("Repayment(bytes32 advance,uint128 amount,uint64 expires,bytes32 salt)");

    bytes32 internal constant LENDER_ACT = keccak256(
        "LenderAct(bytes32 advance,uint8 act,uint128 value,bytes32 document,"
        "uint64 expires,bytes32 salt)"
    );

    function hash(Payee calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(PAYEE, at, 4);
    }

    /// @dev The fifth word of the form in calldata is where its payees lie; in the hash it is what they hash to.
    function hash(AdvanceRequest calldata form) internal pure returns (bytes32 structHash) {
        Payee[] calldata payees = form.payees;
        bytes32[] memory hashes = new bytes32[](payees.length);
        for (uint256 i = 0; i < hashes.length; i++) {
            hashes[i] = hash(payees[i]);
        }
        bytes32 typeHash = ADVANCE_REQUEST;
        assembly ("memory-safe") {
            let all := keccak256(add(hashes, 32), mul(mload(hashes), 32))
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 32), form, 288)
            mstore(add(free, 160), all)
            structHash := keccak256(free, 320)
        }
    }

    function hash(Acknowledgement calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(ACKNOWLEDGEMENT, at, 8);
    }

    function hash(PayeeConsent calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(PAYEE_CONSENT, at, 5);
    }

    function hash(Approval calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(APPROVAL, at, 6);
    }

    function hash(Gate calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(GATE, at, 5);
    }

    function hash(Repayment calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(REPAYMENT, at, 4);
    }

    function hash(LenderAct calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(LENDER_ACT, at, 6);
    }
}
