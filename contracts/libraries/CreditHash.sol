// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Where a form lies in calldata only assembly can say; hashing it in place spares a copy to memory.
/* solhint-disable no-inline-assembly */

import {ApprovalRule, CreditLine, LineChange, VaultMove} from "../types/CreditForms.sol";

import {FormHash} from "./FormHash.sol";

/// @title EIP-712 struct hashes of the forms in CreditForms.sol
library CreditHash {
    bytes32 internal constant CREDIT_LINE = keccak256(
        "CreditLine(uint64 lender,uint64 borrower,uint128 limit,uint32 ratePpm,"
        "uint32 penaltyPpm,uint32 ceilingPpm,uint16 feeBps,uint16 advanceBps,"
        "uint16 toleranceBps,uint16 tenorDays,uint16 graceDays,uint64 attestor,"
        "bool gated,uint64 validUntil,bytes32 terms,uint64 expires,bytes32 salt)"
    );

    bytes32 internal constant LINE_CHANGE = keccak256(
        "LineChange(bytes32 line,uint128 limit,bool frozen,uint64 validUntil,"
        "uint64 expires,bytes32 salt)"
    );

    bytes32 internal constant APPROVAL_RULE = keccak256(
        "ApprovalRule(bytes32 line,uint64 debtor,uint128 most,uint64 until,uint32 validFor,"
        "bytes32 document,uint64 expires,bytes32 salt)"
    );

    bytes32 internal constant VAULT_MOVE = keccak256(
        "VaultMove(uint64 lender,bool deposit,uint128 amount,uint64 expires,bytes32 salt)"
    );

    function hash(CreditLine calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(CREDIT_LINE, at, 17);
    }

    function hash(LineChange calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(LINE_CHANGE, at, 6);
    }

    function hash(ApprovalRule calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(APPROVAL_RULE, at, 8);
    }

    function hash(VaultMove calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(VAULT_MOVE, at, 5);
    }
}
