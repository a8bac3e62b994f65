// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

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

/// @title EIP-712 struct hashes of the forms in AdvanceForms.sol
/// @dev A form of fixed size is encoded by EIP-712 exactly as by the ABI, so the compiler does it.
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
        return keccak256(abi.encode(PAYEE, form));
    }

    function hash(AdvanceRequest calldata form) internal pure returns (bytes32) {
        bytes32[] memory payees = new bytes32[](form.payees.length);
        for (uint256 i = 0; i < payees.length; i++) {
            payees[i] = hash(form.payees[i]);
        }
        return keccak256(
            abi.encode(
                ADVANCE_REQUEST,
                form.line,
                form.waybill,
                form.trip,
                form.principal,
                keccak256(abi.encodePacked(payees)),
                form.fingerprint,
                form.decision,
                form.expires,
                form.salt
            )
        );
    }

    function hash(Acknowledgement calldata form) internal pure returns (bytes32) {
        return keccak256(abi.encode(ACKNOWLEDGEMENT, form));
    }

    function hash(PayeeConsent calldata form) internal pure returns (bytes32) {
        return keccak256(abi.encode(PAYEE_CONSENT, form));
    }

    function hash(Approval calldata form) internal pure returns (bytes32) {
        return keccak256(abi.encode(APPROVAL, form));
    }

    function hash(Gate calldata form) internal pure returns (bytes32) {
        return keccak256(abi.encode(GATE, form));
    }

    function hash(Repayment calldata form) internal pure returns (bytes32) {
        return keccak256(abi.encode(REPAYMENT, form));
    }

    function hash(LenderAct calldata form) internal pure returns (bytes32) {
        return keccak256(abi.encode(LENDER_ACT, form));
    }
}
