// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Amendment, Cancellation, CreditNote, Waybill} from "../types/WaybillForms.sol";

/// @title EIP-712 struct hashes of the forms in WaybillForms.sol
/// @dev A form of fixed size is encoded by EIP-712 exactly as by the ABI, so the compiler does it.
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
        return keccak256(abi.encode(WAYBILL, form));
    }

    function hash(Amendment calldata form) internal pure returns (bytes32) {
        return keccak256(abi.encode(AMENDMENT, form));
    }

    function hash(Cancellation calldata form) internal pure returns (bytes32) {
        return keccak256(abi.encode(CANCELLATION, form));
    }

    function hash(CreditNote calldata form) internal pure returns (bytes32) {
        return keccak256(abi.encode(CREDIT_NOTE, form));
    }
}
