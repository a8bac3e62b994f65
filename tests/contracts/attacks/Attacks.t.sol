// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {ICreditFacility} from "contracts/interfaces/ICreditFacility.sol";
import {IFreightAdvance} from "contracts/interfaces/IFreightAdvance.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";
import {ISettlementToken} from "contracts/interfaces/ISettlementToken.sol";
import {Watch} from "contracts/interfaces/IDeliveryRegistry.sol";
import {Vm} from "forge-std/Vm.sol";

/// @dev A wallet that says yes to everything and, while asked, tries to do harm.
contract HostileWallet {
    address private immutable TARGET;
    bytes private _data;
    uint256 public harm;

    constructor(address target) {
        TARGET = target;
    }

    function arm(bytes calldata data) external {
        _data = data;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        // A static call: whatever it tries cannot write, so it must fail.
        (bool done,) = TARGET.staticcall(_data);
        require(!done || _data.length == 0, "re-entered");
        return this.isValidSignature.selector;
    }
}

/// @dev A listener that comes back while the delivery completes.
contract HostileListener {
    DeliveryRegistry private immutable DELIVERIES;
    FreightSettlement private immutable SETTLEMENT;
    bytes[] private _calls;
    uint256 public accepted;

    constructor(DeliveryRegistry deliveries, FreightSettlement settlement) {
        (DELIVERIES, SETTLEMENT) = (deliveries, settlement);
    }

    function arm(bytes calldata data) external {
        _calls.push(data);
    }

    function onDelivered(TripId, uint64, uint64, uint64) external {
        for (uint256 i = 0; i < _calls.length; i++) {
            (bool done,) = address(DELIVERIES).call(_calls[i]);
            if (done) accepted++;
        }
    }
}

/// @title Attacks that were told or thought of, each as a test
contract AttacksTest is Base {
    /// @dev A public credit protocol lost about USD 101,000 in 2026 because an open refresh call moved unapproved credits
    /// to good standing (LENDING, "Decisions taken"). Here: everything that anyone may call, on a request nobody approved.
    function test_no_open_call_moves_an_unapproved_advance() public {
        issueChain();
        line = openLine(lineForm());
        fund(LENDER, 50_000_00);
        AdvanceId id = request(requestForm());
        agree(id);
        deliver(TRIP, QUANTITY);
        vm.warp(block.timestamp + 100 days);
        refused(IFreightAdvance.AdvanceUnexpectedState.selector);
        submit(address(advances), abi.encodeCall(advances.retry, (id)));
        refused(IFreightAdvance.AdvanceUnexpectedState.selector);
        submit(address(advances), abi.encodeCall(advances.expire, (id)));
        refused(IFreightAdvance.AdvanceCallerNotAllowed.selector);
        submit(address(advances), abi.encodeCall(advances.payPayee, (id, 0)));
        refused(IFreightAdvance.AdvanceCallerNotAllowed.selector);
        submit(address(advances), abi.encodeCall(advances.onDelivered, (TRIP, 1, 1, 1)));
        refused(ICreditFacility.CreditCallerNotAllowed.selector);
        submit(address(facility), abi.encodeCall(facility.draw, (id, 1, DRIVER, "a", "b")));
        for (uint8 what = 1; what <= 5; what++) {
            if (what == 4) continue; // to decline is allowed
            refused(IFreightAdvance.AdvanceUnexpectedState.selector);
            act(id, what, 1);
        }
        refused(IFreightAdvance.AdvanceUnexpectedState.selector);
        repay(id, 1);
        assertState(id, AdvanceState.Requested);
        assertEq(facility.cash(LENDER), 50_000_00);
        assertEq(token.balanceOf(address(facility)), 50_000_00);
        assertEq(balanceOf(DRIVER), 0);
    }

    function test_a_line_alone_gives_no_money_to_its_borrower() public {
        line = openLine(lineForm());
        fund(LENDER, 50_000_00);
        bytes[3] memory tries = [
            abi.encodeCall(facility.reserve, (line, 1)),
            abi.encodeCall(facility.voidReserve, (line, 1)),
            abi.encodeCall(facility.openLoan, (NO_ADVANCE, line, 1))
        ];
        for (uint256 i = 0; i < 3; i++) {
            refused(ICreditFacility.CreditCallerNotAllowed.selector);
            submit(address(facility), tries[i]);
        }
    }

    function test_a_hostile_wallet_cannot_re_enter_while_it_is_asked() public {
        HostileWallet wallet = new HostileWallet(address(waybills));
        PartyId id = PartyId.wrap(66);
        PartyRegistration memory p =
            PartyRegistration(id, address(wallet), "profile", soon(), salt());
        bytes memory s = signWith(registrarKey, address(parties), hash(p));
        submit(address(parties), abi.encodeCall(parties.register, (p, "", s)));
        Waybill memory f = rootForm();
        f.performer = id;
        bytes memory a = sign(CONSIGNOR, address(waybills), hash(f));
        bytes memory call_ = abi.encodeCall(waybills.issue, (f, a, ""));
        wallet.arm(call_); // issues the same waybill from inside the check of its own signature
        submit(address(waybills), call_);
        assertState(WaybillId.wrap(hash(f)), WaybillState.Issued);
        assertEq(waybills.get(WaybillId.wrap(hash(f))).version, 1);
    }

    function test_a_hostile_listener_completes_nothing_twice() public {
        issueChain();
        HostileListener listener = new HostileListener(deliveries, settlement);
        vm.prank(address(advances));
        deliveries.watch(TRIP, Watch(address(listener), ATTESTOR1, LENDER, CARRIER));
        load(loadingOf(TRIP));
        drive(TRIP);
        Confirmation memory f = confirmationOf(TRIP);
        bytes memory s = sign(CONSIGNEE, address(deliveries), hash(f));
        bytes memory again = abi.encodeCall(deliveries.confirm, (f, s));
        listener.arm(again); // accepted, and does nothing: the same receipt
        listener.arm(abi.encodeCall(deliveries.expire, (TRIP)));
        Attestation memory t = attestationOf(TRIP, ATTESTOR3);
        listener.arm(
            abi.encodeCall(deliveries.attest, (t, sign(ATTESTOR3, address(deliveries), hash(t))))
        );
        vm.recordLogs();
        submit(address(deliveries), again);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 completed = 0;
        for (uint256 i = 0; i < logs.length; i++) {
            if (logs[i].topics[0] == deliveriesCompleted()) completed++;
        }
        assertEq(completed, 1);
        assertEq(listener.accepted(), 2);
        assertEq(waybills.get(leaf).accepted, QUANTITY);
        assertState(TRIP, TripState.Delivered);
    }

    function deliveriesCompleted() internal pure returns (bytes32) {
        return keccak256("DeliveryCompleted(bytes32,uint64,uint64,bytes32,uint64)");
    }

    /// @dev The token and its movers are fixed at construction: a hostile token could only come with a hostile deployment.
    /// What can be tried is a call back from a payee's side: accounts have no code, so there is nobody to call.
    function test_token_accounts_have_neither_key_nor_code() public {
        AdvanceId id = approvedAdvance();
        deliver(TRIP, QUANTITY);
        assertState(id, AdvanceState.Released);
        assertEq(accountOf(DRIVER).code.length, 0);
        assertTrue(accountOf(DRIVER) != addressOf(DRIVER));
        vm.prank(accountOf(DRIVER)); // even the account itself may not move
        vm.expectRevert(ISettlementToken.TokenMovedByContractsOnly.selector);
        token.transfer(relayer, 1);
    }

    function test_a_stolen_removed_attestor_key_completes_nothing() public {
        AdvanceId id = approvedAdvance();
        load(loadingOf(TRIP));
        attest(attestationOf(TRIP, ATTESTOR1));
        vm.prank(admin);
        deliveries.removeAttestor(ATTESTOR1);
        attest(attestationOf(TRIP, ATTESTOR2));
        attest(attestationOf(TRIP, ATTESTOR3));
        confirm(confirmationOf(TRIP));
        // Two agree, but the lender's choice is gone: his own signature is needed.
        assertState(TRIP, TripState.Loaded);
        assertState(id, AdvanceState.Approved);
        ReviewAcceptance memory f = ReviewAcceptance(TRIP, ROOT_HASH, FINDINGS, soon(), salt());
        bytes memory s = sign(LENDER, address(deliveries), hash(f));
        submit(address(deliveries), abi.encodeCall(deliveries.acceptReview, (f, s)));
        assertState(TRIP, TripState.Delivered);
        assertState(id, AdvanceState.Released);
    }

    function test_an_approval_for_one_request_serves_no_other() public {
        issueChain();
        line = openLine(lineForm());
        fund(LENDER, 50_000_00);
        AdvanceId first = request(requestForm());
        AdvanceRequest memory f = requestForm();
        f.payees[0].account = keccak256("the thief's account");
        AdvanceId second = request(f);
        agree(first);
        agree(second);
        Approval memory approval = approvalOf(first);
        bytes memory s = sign(LENDER, address(advances), hash(approval));
        approval.advance = second;
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(advances), abi.encodeCall(advances.approve, (approval, s)));
    }
}
