// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {IFreightSettlement} from "contracts/interfaces/IFreightSettlement.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";

contract FreightSettlementTest is Base {
    function _account(WaybillId waybill) internal view returns (address) {
        return settlement.collectionAccount(waybill);
    }

    function test_settle_without_loans_pays_the_performer() public {
        issueChain();
        deliver(TRIP, QUANTITY);
        payFreight(mid, MID_FREIGHT);
        assertEq(balanceOf(SUB), MID_FREIGHT);
        assertState(mid, WaybillState.Paid);
        refused(abi.encodeWithSelector(IFreightSettlement.SettlementNothingToSettle.selector, mid));
        submit(address(settlement), abi.encodeCall(settlement.settle, (mid)));
    }

    function test_settle_refunds_what_exceeds_the_freight() public {
        issueChain();
        deliver(TRIP, QUANTITY);
        payFreight(mid, MID_FREIGHT + 5);
        assertEq(balanceOf(CARRIER), 5);
        payFreight(mid, 7);
        assertEq(balanceOf(CARRIER), 12, "paid twice comes back whole");
    }

    function test_freight_paid_before_delivery_waits_for_it() public {
        issueChain();
        mint(_account(mid), MID_FREIGHT);
        refused(IFreightSettlement.SettlementNothingToSettle.selector);
        submit(address(settlement), abi.encodeCall(settlement.settle, (mid)));
        assertEq(token.balanceOf(_account(mid)), MID_FREIGHT);
        deliver(TRIP, QUANTITY);
        settlement.settle(mid);
        assertEq(balanceOf(SUB), MID_FREIGHT);
    }

    function test_freight_paid_on_a_cancelled_waybill_goes_back() public {
        root = issue(rootForm());
        mint(_account(root), 100);
        cancel(root);
        settlement.settle(root);
        assertEq(balanceOf(CONSIGNOR), 100);
    }

    function test_money_for_a_waybill_not_issued_yet_waits() public {
        Waybill memory f = rootForm();
        mint(_account(WaybillId.wrap(hash(f))), 100);
        refused(IFreightSettlement.SettlementNothingToSettle.selector);
        submit(address(settlement), abi.encodeCall(settlement.settle, (WaybillId.wrap(hash(f)))));
        root = issue(f);
        assertEq(token.balanceOf(_account(root)), 100);
    }

    function test_settle_repays_the_oldest_loan_first() public {
        root = issue(rootForm());
        mid = issue(midForm(root));
        line = openLine(lineForm());
        fund(LENDER, 50_000_00);
        AdvanceId[2] memory ids;
        for (uint256 i = 0; i < 2; i++) {
            Waybill memory w = leafForm(mid);
            (w.freight, w.quantity) = (LEAF_FREIGHT / 2, QUANTITY / 2);
            w.trip = TripId.wrap(keccak256(abi.encode(i)));
            w.vehicle = keccak256(abi.encode("v", i));
            leaf = issue(w);
            AdvanceRequest memory f = requestForm();
            (f.trip, f.fingerprint) = (w.trip, keccak256(abi.encode("f", i)));
            (f.principal, f.payees[0].amount) = (3_000_00, 3_000_00);
            ids[i] = approved(f);
            deliver(w.trip, QUANTITY / 2);
        }
        payFreight(mid, 4_000_00);
        assertState(ids[0], AdvanceState.Repaid);
        assertEq(advances.get(ids[1]).outstanding, 2_000_00);
        assertEq(balanceOf(SUB), 0);
    }

    function test_a_cascade_spends_residue_down_the_chain() public {
        issueChain();
        deliver(TRIP, QUANTITY);
        cascade(root, mid, ROOT_FREIGHT);
        cascade(mid, leaf, 5_000_00);
        cascade(mid, leaf, 1_000_00);
        assertEq(settlement.cascadesOf(mid).length, 2);
        payFreight(root, ROOT_FREIGHT);
        assertEq(balanceOf(CARRIER), ROOT_FREIGHT - MID_FREIGHT);
        assertEq(balanceOf(SUB), MID_FREIGHT - 6_000_00);
        assertEq(balanceOf(DRIVER), 6_000_00);
        assertEq(settlement.cascadeLeft(mid, 0), 0);
        assertEq(settlement.cascadeLeft(root, 0), ROOT_FREIGHT - MID_FREIGHT);
        assertState(root, WaybillState.Paid);
        assertState(mid, WaybillState.Paid);
        assertState(leaf, WaybillState.Delivered);
    }

    function test_a_cascade_counts_what_lies_in_the_childs_account() public {
        issueChain();
        deliver(TRIP, QUANTITY);
        cascade(mid, leaf, LEAF_FREIGHT);
        mint(_account(leaf), 1_000_00);
        payFreight(mid, MID_FREIGHT);
        assertEq(balanceOf(DRIVER), LEAF_FREIGHT);
        assertEq(balanceOf(SUB), MID_FREIGHT - LEAF_FREIGHT + 1_000_00);
    }

    function test_signCascade_is_the_performers_to_his_own_children() public {
        issueChain();
        Cascade memory f = Cascade(root, mid, 5, soon(), salt());
        bytes memory s = sign(CONSIGNOR, address(settlement), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(settlement), abi.encodeCall(settlement.signCascade, (f, s)));
        s = sign(CARRIER, address(settlement), hash(f));
        submit(address(settlement), abi.encodeCall(settlement.signCascade, (f, s)));
        refused(IFreightSettlement.SettlementFormUsed.selector);
        submit(address(settlement), abi.encodeCall(settlement.signCascade, (f, s)));
        refused(
            abi.encodeWithSelector(IFreightSettlement.SettlementChildInvalid.selector, root, leaf)
        );
        cascade(root, leaf, 5);
        refused(IFreightSettlement.SettlementChildInvalid.selector);
        cascade(root, mid, 0);
        f.expires = 1;
        refused(
            abi.encodeWithSelector(
                IFreightSettlement.SettlementFormExpired.selector, 1, block.timestamp
            )
        );
        submit(address(settlement), abi.encodeCall(settlement.signCascade, (f, s)));
        for (uint256 i = 1; i < settlement.MAX_CASCADES(); i++) {
            cascade(root, mid, 1);
        }
        refused(
            abi.encodeWithSelector(IFreightSettlement.SettlementCascadesTooMany.selector, root, 16)
        );
        cascade(root, mid, 1);
    }

    function test_a_shortage_lowers_what_the_debtor_owes() public {
        issueChain();
        deliver(TRIP, QUANTITY / 3);
        payFreight(mid, MID_FREIGHT);
        assertEq(balanceOf(SUB), MID_FREIGHT / 3);
        assertEq(balanceOf(CARRIER), MID_FREIGHT - MID_FREIGHT / 3);
    }
}
