// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

import "../Base.t.sol";
import {ICreditFacility} from "contracts/interfaces/ICreditFacility.sol";
import {IFreightAdvance} from "contracts/interfaces/IFreightAdvance.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";

/// @title Approval by the lender's rule on a line
contract ApprovalRuleTest is Base {
    AdvanceId internal id;

    function setUp() public override {
        super.setUp();
        issueChain();
        line = openLine(lineForm());
        fund(LENDER, 50_000_00);
        id = request(requestForm());
        agree(id);
    }

    function _refusedByRule(PartyId debtor, uint128 most, uint64 until) internal {
        refused(
            abi.encodeWithSelector(
                ICreditFacility.LineRuleRefuses.selector, line, debtor, most, until
            )
        );
        approveByRule(id);
    }

    function test_a_rule_approves_with_every_effect_of_the_lenders_own_word() public {
        ApprovalRule memory f = ruleForm();
        f.debtor = CARRIER;
        vm.expectEmit(address(facility));
        emit ICreditFacility.LineRuleSet(line, CARRIER, PRINCIPAL, f.until, 5 days);
        setRule(f);
        (PartyId debtor, uint128 most, uint64 until, uint32 validFor) = facility.ruleOf(line);
        assertTrue(debtor == CARRIER);
        assertEq(most, PRINCIPAL);
        assertEq(until, f.until);
        assertEq(validFor, 5 days);

        vm.expectEmit(address(advances));
        emit IFreightAdvance.AdvanceApproved(
            id, LENDER, PRINCIPAL, uint64(block.timestamp) + 5 days
        );
        approveByRule(id);
        assertState(id, AdvanceState.Approved);
        assertEq(advances.get(id).approvedUntil, block.timestamp + 5 days);
        assertEq(facility.reserved(line), PRINCIPAL);
        assertEq(facility.cash(LENDER), 50_000_00 - PRINCIPAL);
        assertTrue(waybills.get(mid).pledgee == LENDER);
        assertTrue(advances.isPledged(keccak256("fingerprint")));
        assertTrue(advances.advanceOf(TRIP) == id);
        assertEq(deliveries.watchOf(TRIP).listener, address(advances));
        deliver(TRIP, QUANTITY);
        assertState(id, AdvanceState.Released);
    }

    function test_without_a_rule_nothing_is_approved() public {
        _refusedByRule(NOBODY, 0, 0);
    }

    function test_a_rule_covers_up_to_its_amount_until_its_second() public {
        ApprovalRule memory f = ruleForm();
        f.most = PRINCIPAL - 1;
        setRule(f);
        _refusedByRule(NOBODY, PRINCIPAL - 1, f.until);
        f = ruleForm();
        setRule(f);
        vm.warp(f.until + 1);
        _refusedByRule(NOBODY, PRINCIPAL, f.until);
        vm.warp(f.until);
        approveByRule(id);
        assertState(id, AdvanceState.Approved);
    }

    function test_a_rule_for_one_debtor_covers_no_other() public {
        ApprovalRule memory f = ruleForm();
        f.debtor = CONSIGNOR;
        setRule(f);
        _refusedByRule(CONSIGNOR, PRINCIPAL, f.until);
    }

    function test_a_later_rule_replaces_the_one_before_and_zero_ends_it() public {
        setRule(ruleForm());
        ApprovalRule memory f = ruleForm();
        (f.most, f.validFor) = (0, 0);
        setRule(f);
        _refusedByRule(NOBODY, 0, f.until);
        // What was approved stays approved.
        setRule(ruleForm());
        approveByRule(id);
        f = ruleForm();
        f.most = 0;
        setRule(f);
        assertState(id, AdvanceState.Approved);
    }

    function test_a_rule_is_the_lenders_in_time_and_once() public {
        ApprovalRule memory f = ruleForm();
        bytes memory s = sign(SUB, address(facility), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(facility), abi.encodeCall(facility.setRule, (f, s)));
        setRule(f);
        refused(ICreditFacility.CreditFormUsed.selector);
        setRule(f);
        f = ruleForm();
        f.expires = uint64(block.timestamp) - 1;
        refused(
            abi.encodeWithSelector(
                ICreditFacility.CreditFormExpired.selector, f.expires, block.timestamp
            )
        );
        setRule(f);
    }

    function test_a_rule_refuses_what_it_cannot_keep() public {
        ApprovalRule memory f = ruleForm();
        f.most = 2 ** 53;
        refused(abi.encodeWithSelector(ICreditFacility.LineFieldInvalid.selector, bytes32("most")));
        setRule(f);
        f = ruleForm();
        f.validFor = 0;
        refused(
            abi.encodeWithSelector(ICreditFacility.LineFieldInvalid.selector, bytes32("validFor"))
        );
        setRule(f);
        f = ruleForm();
        f.line = LineId.wrap("unknown");
        bytes memory s = sign(LENDER, address(facility), hash(f));
        refused(abi.encodeWithSelector(ICreditFacility.LineUnknown.selector, f.line));
        submit(address(facility), abi.encodeCall(facility.setRule, (f, s)));
    }

    /// @dev The rule stands in place of the signature and of nothing else.
    function test_a_rule_skips_no_other_check() public {
        setRule(ruleForm());
        AdvanceRequest memory r = requestForm();
        r.salt = salt();
        AdvanceId silent = request(r);
        refused(abi.encodeWithSelector(IFreightAdvance.AdvanceNotAcknowledged.selector, silent));
        approveByRule(silent);
        acknowledge(acknowledgementOf(silent));
        refused(IFreightAdvance.AdvancePayeeNotConsented.selector);
        approveByRule(silent);

        vm.prank(admin);
        advances.pause();
        refused(Pausable.EnforcedPause.selector);
        approveByRule(id);
        vm.prank(admin);
        advances.unpause();

        LineChange memory c = LineChange(line, 100_000_00, true, START + 10 days, soon(), salt());
        changeLine(c);
        refused(ICreditFacility.LineFrozen.selector);
        approveByRule(id);
        c = LineChange(line, PRINCIPAL - 1, false, START + 10 days, soon(), salt());
        changeLine(c);
        refused(ICreditFacility.LineHeadroomExceeded.selector);
        approveByRule(id);
        c = LineChange(line, PRINCIPAL, false, START + 10 days, soon(), salt());
        changeLine(c);
        approveByRule(id);
        refused(IFreightAdvance.AdvanceUnexpectedState.selector);
        approveByRule(id);
        consent(consentOf(silent, 0));
        refused(IFreightAdvance.AdvanceReceivablePledged.selector);
        approveByRule(silent);
    }
}
