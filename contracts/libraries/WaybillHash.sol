// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Where a form lies in calldata only assembly can say; hashing it in place spares a copy to memory.
/* solhint-disable no-inline-assembly */

import {Amendment, Cancellation, CreditNote, Waybill} from "../types/WaybillForms.sol";

import {FormHash} from "./FormHash.sol";

/// @title EIP-712 struct hashes of the forms in WaybillForms.sol
library WaybillHash {
    bytes32 internal constant WAYBILL = keccak256(
        "Waybill(bytes32 parent,uint64 issuer,uint64 performer,uint64 consignee,"
        "bytes32 shippingNote,bytes32 trip,bytes32 vehicle,uint128 freight,"
        "uint64 quantity,uint64 loadFrom,uint64 deliverBy,uint32 termDays,bytes32 plan,"
        "bytes32 policy,bytes32 document,uint64 expires,bytes32 salt)"
    );

    bytes32 internal constant AMENDMENT = keccak256(
        "Amendment(bytes32 waybill,uint32 version,uint128 freight,uint64 quantity,"
        "uint64 loadFrom,uint64 deliverBy,bytes32 vehicle,bytes32 plan,bytes32 document,"
        "uint64 expires,bytes32 salt)"
    );

    bytes32 internal constant CANCELLATION =
        keccak256("Cancellation(bytes32 waybill,uint32 version,uint64 expires,bytes32 salt)");

    bytes32 internal constant CREDIT_NOTE = keccak256(
        "CreditNote(bytes32 waybill,uint128 amount,bytes32 document,uint64 expires," "bytes32 salt)"
    );

    function hash(Waybill calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(WAYBILL, at, 17);
    }

    function hash(Amendment calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(AMENDMENT, at, 11);
    }

    function hash(Cancellation calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(CANCELLATION, at, 4);
    }

    function hash(CreditNote calldata form) internal pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := form
        }
        return FormHash.hashed(CREDIT_NOTE, at, 5);
    }
}
