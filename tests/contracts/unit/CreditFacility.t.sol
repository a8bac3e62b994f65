// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {ICreditFacility} from "contracts/interfaces/ICreditFacility.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";

contract CreditFacilityTest is Base {
    function setUp() public override {
        super.setUp();
        line = openLine(lineForm());
    }

    function _refusedField(bytes32 field) internal {
        refused(abi.encodeWithSelector(ICreditFacility.LineFieldInvalid.selector, field));
    }

    function _change(uint128 limit, bool frozen) internal returns (LineChange memory) {
        return LineChange({
            line: line,
            limit: limit,
            frozen: frozen,
            validUntil: START + 10 days,
            expires: soon(),
            salt: salt()
        });
    }

    function test_openLine_stores_the_terms_once() public {
        CreditLine memory f = lineForm();
        line = openLine(f);
        (CreditLine memory terms, uint128 limit, bool frozen, uint64 validUntil) =
            facility.get(line);
        assertEq(keccak256(abi.encode(terms)), keccak256(abi.encode(f)));
        assertEq(limit, f.limit);
        assertFalse(frozen);
        assertEq(validUntil, f.validUntil);
        refused(abi.encodeWithSelector(ICreditFacility.LineAlreadyOpen.selector, line));
        openLine(f);
    }

    function test_openLine_refuses_each_field_that_cannot_be() public {
        CreditLine memory f = lineForm();
        f.lender = NOBODY;
        _refusedField("lender");
        openLine(f);
        f = lineForm();
        f.borrower = LENDER;
        _refusedField("borrower");
        openLine(f);
        f = lineForm();
        f.limit = 2 ** 53;
        _refusedField("limit");
        openLine(f);
        f = lineForm();
        f.ceilingPpm = 1_000_001;
        _refusedField("ceilingPpm");
        openLine(f);
        f = lineForm();
        f.ratePpm = f.ceilingPpm + 1;
        _refusedField("ratePpm");
        openLine(f);
        f = lineForm();
        f.penaltyPpm = f.ceilingPpm + 1;
        _refusedField("penaltyPpm");
        openLine(f);
        f = lineForm();
        f.feeBps = 10_001;
        _refusedField("feeBps");
        openLine(f);
        f = lineForm();
        f.advanceBps = 0;
        _refusedField("advanceBps");
        openLine(f);
        f = lineForm();
        f.toleranceBps = 10_001;
        _refusedField("toleranceBps");
        openLine(f);
        f = lineForm();
        f.tenorDays = 0;
        _refusedField("tenorDays");
        openLine(f);
        f = lineForm();
        f.graceDays = 3_651;
        _refusedField("graceDays");
        openLine(f);
        f = lineForm();
        f.attestor = SUB;
        _refusedField("attestor");
        openLine(f);
        f = lineForm();
        f.validUntil = START - 1;
        _refusedField("validUntil");
        openLine(f);
        f = lineForm();
        f.terms = 0;
        _refusedField("terms");
        openLine(f);
        f = lineForm();
        f.expires = START - 1;
        refused(
            abi.encodeWithSelector(
                ICreditFacility.CreditFormExpired.selector, START - 1, block.timestamp
            )
        );
        openLine(f);
    }

    function test_openLine_needs_lender_and_borrower() public {
        CreditLine memory f = lineForm();
        bytes memory a = sign(LENDER, address(facility), hash(f));
        bytes memory b = sign(SUB, address(facility), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(facility), abi.encodeCall(facility.openLine, (f, a, a)));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(facility), abi.encodeCall(facility.openLine, (f, b, b)));
    }

    function test_changeLine_lowers_by_the_lender_and_rises_by_both() public {
        LineChange memory f = _change(1, true);
        bytes memory a = sign(LENDER, address(facility), hash(f));
        submit(address(facility), abi.encodeCall(facility.changeLine, (f, a, "")));
        (, uint128 limit, bool frozen, uint64 validUntil) = facility.get(line);
        assertEq(limit, 1);
        assertTrue(frozen);
        assertEq(validUntil, START + 10 days);
        refused(ICreditFacility.CreditFormUsed.selector);
        submit(address(facility), abi.encodeCall(facility.changeLine, (f, a, "")));
        f = _change(2, false);
        a = sign(LENDER, address(facility), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(facility), abi.encodeCall(facility.changeLine, (f, a, "")));
        changeLine(f);
        assertEq(facility.headroom(line), 2);
        f = _change(2 ** 53, false);
        _refusedField("limit");
        changeLine(f);
        f = _change(1, false);
        f.line = LineId.wrap("nowhere");
        refused(abi.encodeWithSelector(ICreditFacility.LineUnknown.selector, f.line));
        submit(address(facility), abi.encodeCall(facility.changeLine, (f, a, "")));
    }

    function test_moveVault_moves_the_lenders_own_money_only() public {
        mint(accountOf(LENDER), 100);
        moveVault(LENDER, true, 60);
        assertEq(facility.cash(LENDER), 60);
        assertEq(token.balanceOf(address(facility)), 60);
        moveVault(LENDER, false, 20);
        assertEq(balanceOf(LENDER), 60);
        refused(abi.encodeWithSelector(ICreditFacility.VaultCashTooLow.selector, LENDER, 40, 41));
        moveVault(LENDER, false, 41);
        refused(abi.encodeWithSelector(ICreditFacility.VaultCashTooLow.selector, LENDER2, 0, 1));
        moveVault(LENDER2, false, 1);
        _refusedField("amount");
        moveVault(LENDER, true, 0);
        VaultMove memory f =
            VaultMove({lender: LENDER, deposit: false, amount: 1, expires: soon(), salt: salt()});
        bytes memory s = sign(SUB, address(facility), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(facility), abi.encodeCall(facility.moveVault, (f, s)));
        s = sign(LENDER, address(facility), hash(f));
        submit(address(facility), abi.encodeCall(facility.moveVault, (f, s)));
        refused(ICreditFacility.CreditFormUsed.selector);
        submit(address(facility), abi.encodeCall(facility.moveVault, (f, s)));
    }

    function test_records_are_for_FreightAdvance_only() public {
        bytes memory error_ =
            abi.encodeWithSelector(ICreditFacility.CreditCallerNotAllowed.selector, relayer);
        AdvanceId id;
        refused(error_);
        submit(address(facility), abi.encodeCall(facility.reserve, (line, 1)));
        refused(error_);
        submit(address(facility), abi.encodeCall(facility.voidReserve, (line, 1)));
        refused(error_);
        submit(address(facility), abi.encodeCall(facility.openLoan, (id, line, 1)));
        refused(error_);
        submit(address(facility), abi.encodeCall(facility.draw, (id, 1, SUB, "a", "b")));
        refused(error_);
        submit(address(facility), abi.encodeCall(facility.repay, (id, relayer, 1, true)));
        refused(error_);
        submit(address(facility), abi.encodeCall(facility.writeOff, (id)));
        refused(error_);
        submit(address(facility), abi.encodeCall(facility.concede, (id, 3, 1)));
    }

    function test_reserve_locks_cash_within_limit_and_term() public {
        fund(LENDER, 50);
        LineId unknown = LineId.wrap("nowhere");
        LineChange memory low = _change(40, false);
        changeLine(low);
        vm.startPrank(address(advances));
        vm.expectRevert(
            abi.encodeWithSelector(ICreditFacility.LineHeadroomExceeded.selector, line, 40, 41)
        );
        facility.reserve(line, 41);
        facility.reserve(line, 30);
        vm.expectRevert(abi.encodeWithSelector(ICreditFacility.LineUnknown.selector, unknown));
        facility.reserve(unknown, 1);
        vm.stopPrank();
        assertEq(facility.cash(LENDER), 20);
        assertEq(facility.headroom(line), 10);
        changeLine(_change(1_000, false));
        vm.prank(address(advances));
        vm.expectRevert(
            abi.encodeWithSelector(ICreditFacility.VaultCashTooLow.selector, LENDER, 20, 21)
        );
        facility.reserve(line, 21);
        changeLine(_change(5, true)); // below what is reserved: takes headroom only
        assertEq(facility.headroom(line), 0);
        assertEq(facility.reserved(line), 30);
        vm.prank(address(advances));
        vm.expectRevert(abi.encodeWithSelector(ICreditFacility.LineFrozen.selector, line));
        facility.reserve(line, 1);
        changeLine(_change(1_000, false));
        vm.warp(START + 10 days + 1);
        vm.prank(address(advances));
        vm.expectRevert(
            abi.encodeWithSelector(ICreditFacility.LineEnded.selector, line, START + 10 days)
        );
        facility.reserve(line, 1);
        vm.prank(address(advances));
        facility.voidReserve(line, 30);
        assertEq(facility.cash(LENDER), 50);
    }
}
