// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Terms are written and read as code, which only assembly can do (CREATE, EXTCODECOPY).
/* solhint-disable no-inline-assembly */

import {Payee} from "../types/AdvanceForms.sol";
import {LineId, PartyId, TripId, WaybillId} from "../types/Ids.sol";

/// @title What a request fixes for ever, kept as the code of an account of its own
/// @notice Nothing of it ever changes, so it needs no storage: a byte of code costs 200 gas where a word of storage costs
/// 22,100, and all of it is read at once. The account's first byte is STOP: whoever calls it gets nothing, and no instruction
/// of it ever runs, so nothing can change or remove it.
library AdvanceTerms {
    struct Terms {
        LineId line;
        WaybillId waybill;
        TripId trip;
        bytes32 fingerprint;
        PartyId borrower;
        PartyId lender;
        PartyId debtor;
        uint64 principal;
        uint32 leafVersion;
        Payee[] payees;
    }

    /// @dev Places of what is not a whole word, and the bytes before the payees and of each payee.
    uint256 private constant BORROWER = 128;
    uint256 private constant LENDER = 136;
    uint256 private constant DEBTOR = 144;
    uint256 private constant PRINCIPAL = 152;
    uint256 private constant LEAF_VERSION = 160;
    uint256 private constant HEAD = 164;
    uint256 private constant PAYEE = 80;

    error AdvanceTermsNotStored();

    /// @return at the account that holds the terms.
    function stored(Terms memory t) internal returns (address at) {
        uint256 size = HEAD + PAYEE * t.payees.length;
        bytes memory creation = new bytes(size + 11);
        uint256 to;
        assembly ("memory-safe") {
            to := add(creation, 32)
        }
        // PUSH2 length, DUP1, PUSH1 10, RETURNDATASIZE (0), CODECOPY, RETURNDATASIZE (0), RETURN; then STOP and the data.
        to = _put(to, 0x61 << 80 | (size + 1) << 64 | 0x80600a3d393df300, 11);
        to = _put(to, uint256(LineId.unwrap(t.line)), 32);
        to = _put(to, uint256(WaybillId.unwrap(t.waybill)), 32);
        to = _put(to, uint256(TripId.unwrap(t.trip)), 32);
        to = _put(to, uint256(t.fingerprint), 32);
        to = _put(to, PartyId.unwrap(t.borrower), 8);
        to = _put(to, PartyId.unwrap(t.lender), 8);
        to = _put(to, PartyId.unwrap(t.debtor), 8);
        to = _put(to, t.principal, 8);
        to = _put(to, t.leafVersion, 4);
        for (uint256 i = 0; i < t.payees.length; i++) {
            Payee memory p = t.payees[i];
            to = _put(to, PartyId.unwrap(p.party), 8);
            to = _put(to, p.amount, 8);
            to = _put(to, uint256(WaybillId.unwrap(p.waybill)), 32);
            to = _put(to, uint256(p.account), 32);
        }
        assembly ("memory-safe") {
            at := create(0, add(creation, 32), mload(creation))
        }
        if (at == address(0)) revert AdvanceTermsNotStored();
    }

    /// @dev The last `size` bytes of a word; what it writes behind them is written over by the next, and the last of all is a
    /// whole word.
    function _put(uint256 to, uint256 word, uint256 size) private pure returns (uint256 next) {
        assembly ("memory-safe") {
            mstore(to, shl(sub(256, mul(8, size)), word))
            next := add(to, size)
        }
    }

    function loaded(address at) internal view returns (Terms memory t) {
        bytes memory data = new bytes(at.code.length - 1);
        assembly ("memory-safe") {
            extcodecopy(at, add(data, 32), 1, mload(data))
        }
        t.line = LineId.wrap(_word(data, 0));
        t.waybill = WaybillId.wrap(_word(data, 32));
        t.trip = TripId.wrap(_word(data, 64));
        t.fingerprint = _word(data, 96);
        t.borrower = PartyId.wrap(_number(data, BORROWER));
        t.lender = PartyId.wrap(_number(data, LENDER));
        t.debtor = PartyId.wrap(_number(data, DEBTOR));
        t.principal = _number(data, PRINCIPAL);
        t.leafVersion = uint32(_number(data, LEAF_VERSION) >> 32);
        t.payees = new Payee[]((data.length - HEAD) / PAYEE);
        for (uint256 i = 0; i < t.payees.length; i++) {
            uint256 from = HEAD + i * PAYEE;
            t.payees[i] = Payee({
                party: PartyId.wrap(_number(data, from)),
                amount: _number(data, from + 8),
                waybill: WaybillId.wrap(_word(data, from + 16)),
                account: _word(data, from + 48)
            });
        }
    }

    function _word(bytes memory data, uint256 from) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), from))
        }
    }

    /// @dev The 64 bits from a place on; reading past the end of the data reads other memory, which the shift drops.
    function _number(bytes memory data, uint256 from) private pure returns (uint64) {
        return uint64(uint256(_word(data, from)) >> 192);
    }
}
