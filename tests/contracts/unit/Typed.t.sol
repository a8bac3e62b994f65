// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";

/// @title EIP-712: random values of every form hash as Python hashes them
/// @dev Both sides draw the same values from SHA-256 of (form, number, field), cut to the field's width; the struct hashes
/// are folded into one. Python's fold stands in tests/contracts/data/typed.json (tests/contracts/test_typed_parity.py).
contract TypedTest is Base {
    uint256 internal constant DRAWS = 1000;
    string internal json;

    /// @dev The forms are hashed through the libraries of the contracts where one takes calldata; see HashDoor.
    function setUp() public override {
        json = vm.readFile("tests/contracts/data/typed.json");
    }

    function test_every_form_hashes_as_in_python() public view {
        _fold("PartyRegistration", hex"0814200820", this.partyRegistration);
        _fold("KeyRotation", hex"08140820", this.keyRotation);
        _fold("KeyRecovery", hex"08140820", this.keyRecovery);
        _fold("RecoveryCancellation", hex"081408", this.recoveryCancellation);
        _fold("KeyRevocation", hex"08140820", this.keyRevocation);
        _fold("Waybill", hex"2008080820202010080808042020200820", this.waybill);
        _fold("Amendment", hex"2004100808082020200820", this.amendment);
        _fold("Cancellation", hex"20040820", this.cancellation);
        _fold("CreditNote", hex"2010200820", this.creditNote);
        _fold("Loading", hex"2004200808200820", this.loading);
        _fold("TrackBatch", hex"20080420040808", this.trackBatch);
        _fold("Confirmation", hex"20080420080120080820", this.confirmation);
        _fold("Attestation", hex"20080420202020012008080404020820", this.attestation);
        _fold("ReviewAcceptance", hex"2020200820", this.reviewAcceptance);
        _fold("Dispute", hex"2008200820", this.dispute);
        _fold("Resolution", hex"2001200820", this.resolution);
        _fold("CreditLine", hex"0808100404040202020202080008200820", this.creditLine);
        _fold("LineChange", hex"201000080820", this.lineChange);
        _fold("VaultMove", hex"0800100820", this.vaultMove);
        _fold("MintReceipt", hex"20141008", this.mintReceipt);
        _fold("PayoutReceipt", hex"202008", this.payoutReceipt);
        _fold("PayoutRequest", hex"0820100820", this.payoutRequest);
        _fold("PayoutRedirect", hex"20200820", this.payoutRedirect);
        _fold("Cascade", hex"2020100820", this.cascade);
        _fold("Payee", hex"08202010", this.payee);
        _fold("Acknowledgement", hex"2008202008200820", this.acknowledgement);
        _fold("PayeeConsent", hex"2008200820", this.payeeConsent);
        _fold("Approval", hex"200810080820", this.approval);
        _fold("ApprovalRule", hex"2008100804200820", this.approvalRule);
        _fold("Gate", hex"2000200820", this.gate);
        _fold("Repayment", hex"20100820", this.repayment);
        _fold("LenderAct", hex"200110200820", this.lenderAct);
    }

    function test_a_request_with_its_payees_hashes_as_in_python() public view {
        bytes32 fold;
        uint256 free;
        for (uint256 i = 0; i < DRAWS; i++) {
            assembly {
                free := mload(0x40)
            }
            fold = sha256(abi.encode(fold, this.throughTheLibrary(_request(i))));
            assembly {
                mstore(0x40, free)
            }
        }
        assertEq(fold, vm.parseJsonBytes32(json, ".AdvanceRequest"), "AdvanceRequest");
    }

    function _request(uint256 i) internal pure returns (AdvanceRequest memory f) {
        bytes memory words = _words("AdvanceRequest", hex"202020102020200820", i);
        bytes32[9] memory w = abi.decode(words, (bytes32[9]));
        (f.line, f.waybill) = (LineId.wrap(w[0]), WaybillId.wrap(w[1]));
        (f.trip, f.principal) = (TripId.wrap(w[2]), uint128(uint256(w[3])));
        (f.fingerprint, f.decision) = (w[4], w[5]);
        (f.expires, f.salt) = (uint64(uint256(w[7])), w[8]);
        f.payees = new Payee[](uint256(w[6]) % 4);
        for (uint256 j = 0; j < f.payees.length; j++) {
            f.payees[j] = abi.decode(_words("Payee", hex"08202010", i * 4 + j), (Payee));
        }
    }

    function throughTheLibrary(AdvanceRequest calldata f) external pure returns (bytes32) {
        return AdvanceHash.hash(f);
    }

    function _fold(
        string memory form,
        bytes memory widths,
        function(bytes memory) external pure returns (bytes32) hashed
    ) internal view {
        bytes32 fold;
        uint256 free;
        for (uint256 i = 0; i < DRAWS; i++) {
            // What a draw needed in memory is given back, or a thousand of them would cost more than a test may.
            assembly {
                free := mload(0x40)
            }
            fold = sha256(abi.encode(fold, hashed(_words(form, widths, i))));
            assembly {
                mstore(0x40, free)
            }
        }
        assertEq(fold, vm.parseJsonBytes32(json, string.concat(".", form)), form);
    }

    /// @param widths bytes of each field; 0 is a bool.
    function _words(string memory form, bytes memory widths, uint256 i)
        internal
        pure
        returns (bytes memory words)
    {
        for (uint256 k = 0; k < widths.length; k++) {
            uint256 word = uint256(sha256(abi.encode(form, i, k)));
            uint256 width = uint8(widths[k]);
            word = width == 0 ? word & 1 : word & (type(uint256).max >> (256 - 8 * width));
            words = abi.encodePacked(words, word);
        }
    }

    function partyRegistration(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (PartyRegistration)));
    }

    function keyRotation(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (KeyRotation)));
    }

    function keyRecovery(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (KeyRecovery)));
    }

    function recoveryCancellation(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (RecoveryCancellation)));
    }

    function keyRevocation(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (KeyRevocation)));
    }

    function waybill(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (Waybill)));
    }

    function amendment(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (Amendment)));
    }

    function cancellation(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (Cancellation)));
    }

    function creditNote(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (CreditNote)));
    }

    function loading(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (Loading)));
    }

    function trackBatch(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (TrackBatch)));
    }

    function confirmation(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (Confirmation)));
    }

    function attestation(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (Attestation)));
    }

    function reviewAcceptance(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (ReviewAcceptance)));
    }

    function dispute(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (Dispute)));
    }

    function resolution(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (Resolution)));
    }

    function creditLine(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (CreditLine)));
    }

    function lineChange(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (LineChange)));
    }

    function vaultMove(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (VaultMove)));
    }

    function mintReceipt(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (MintReceipt)));
    }

    function payoutReceipt(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (PayoutReceipt)));
    }

    function payoutRequest(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (PayoutRequest)));
    }

    function payoutRedirect(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (PayoutRedirect)));
    }

    function cascade(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (Cascade)));
    }

    function payee(bytes memory words) external pure returns (bytes32) {
        return keccak256(abi.encode(AdvanceHash.PAYEE, abi.decode(words, (Payee))));
    }

    function acknowledgement(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (Acknowledgement)));
    }

    function payeeConsent(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (PayeeConsent)));
    }

    function approvalRule(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (ApprovalRule)));
    }

    function approval(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (Approval)));
    }

    function gate(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (Gate)));
    }

    function repayment(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (Repayment)));
    }

    function lenderAct(bytes memory words) external pure returns (bytes32) {
        return hash(abi.decode(words, (LenderAct)));
    }
}
