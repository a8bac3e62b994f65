// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Where a form lies in calldata only assembly can say; hashing it in place spares a copy to memory.
/* solhint-disable no-inline-assembly */

import {
    Cascade,
    MintReceipt,
    PayoutReceipt,
    PayoutRedirect,
    PayoutRequest
} from "../types/MoneyForms.sol";

import {FormHash} from "./FormHash.sol";

/// @title EIP-712 struct hashes of the forms in MoneyForms.sol
library MoneyHash {
    bytes32 internal constant MINT_RECEIPT = keccak256(
        "MintReceipt(bytes32 bankReference,address account,uint128 amount," "uint64 valueDay)"
    );

    bytes32 internal constant PAYOUT_RECEIPT =
        keccak256("PayoutReceipt(bytes32 payout,bytes32 sequence,uint64 valueDay)");

    bytes32 internal constant PAYOUT_REQUEST = keccak256(
        "PayoutRequest(uint64 party,bytes32 account,uint128 amount,uint64 expires," "bytes32 salt)"
    );

    bytes32 internal constant PAYOUT_REDIRECT =
        keccak256("PayoutRedirect(bytes32 payout,bytes32 account,uint64 expires,bytes32 salt)");

    bytes32 internal constant CASCADE = keccak256(
        "Cascade(bytes32 waybill,bytes32 child,uint128 most,uint64 expires,bytes32 salt)"
    );

    function hash(MintReceipt calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(MINT_RECEIPT, at, 4);
    }

    function hash(PayoutReceipt calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(PAYOUT_RECEIPT, at, 3);
    }

    function hash(PayoutRequest calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(PAYOUT_REQUEST, at, 5);
    }

    function hash(PayoutRedirect calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(PAYOUT_REDIRECT, at, 4);
    }

    function hash(Cascade calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(CASCADE, at, 5);
    }
}
