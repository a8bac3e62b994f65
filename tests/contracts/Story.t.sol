// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Base} from "./Base.t.sol";
import {Vm} from "forge-std/Vm.sol";
import {AdvanceId, PartyId, WaybillId} from "contracts/types/Ids.sol";
import {AdvanceState, TripState, WaybillState} from "contracts/types/States.sol";
import {Confirmation} from "contracts/types/DeliveryForms.sol";
import {IFreightAdvance} from "contracts/interfaces/IFreightAdvance.sol";

/// @title One trip, end to end: the product on one page (DESIGN section 2)
contract StoryTest is Base {
    function test_a_trip_goes_from_issue_to_repaid() public {
        AdvanceId id = approvedAdvance();
        assertState(id, AdvanceState.Approved);
        assertEq(facility.reserved(line), PRINCIPAL);
        assertEq(facility.cash(LENDER), 50_000_00 - PRINCIPAL);

        load(loadingOf(TRIP));
        assertState(root, WaybillState.InTransit);
        drive(TRIP);
        assertState(id, AdvanceState.Approved);

        Confirmation memory receipt = confirmationOf(TRIP);
        vm.recordLogs();
        confirm(receipt); // one transaction: delivery, release, payment of the driver
        _assertLogged(vm.getRecordedLogs());

        assertState(TRIP, TripState.Delivered);
        assertState(id, AdvanceState.Released);
        assertEq(balanceOf(DRIVER), PRINCIPAL);
        assertEq(balanceOf(SUB), 0, "the borrower touches no money of the advance");
        assertEq(waybills.outstanding(leaf), LEAF_FREIGHT - PRINCIPAL);
        assertEq(facility.drawn(line), PRINCIPAL);

        bytes32 payout = keccak256(abi.encode(id, uint256(0)));
        payOut(payout);
        assertEq(balanceOf(DRIVER), 0);
        assertEq(uint8(token.payoutOf(payout).state), 2);

        vm.warp(block.timestamp + 40 days);
        uint128 interest = uint128(uint256(PRINCIPAL) * 109_500 * 40 / 365 / 1_000_000);
        uint128 fee = PRINCIPAL * 10 / 10_000;
        cascade(mid, leaf, LEAF_FREIGHT);
        payFreight(mid, MID_FREIGHT);
        assertState(id, AdvanceState.Repaid);
        assertState(mid, WaybillState.Paid);
        assertState(leaf, WaybillState.Paid);
        assertEq(balanceOf(DRIVER), LEAF_FREIGHT - PRINCIPAL);
        assertEq(facility.drawn(line), 0);
        assertEq(facility.cash(LENDER), 50_000_00 + interest + fee);
        assertEq(
            balanceOf(SUB), MID_FREIGHT - PRINCIPAL - interest - fee - (LEAF_FREIGHT - PRINCIPAL)
        );
        assertEq(token.balanceOf(settlement.collectionAccount(mid)), 0);
    }

    function _assertLogged(Vm.Log[] memory logs) private pure {
        bool completed;
        bool paid;
        for (uint256 i = 0; i < logs.length; i++) {
            if (
                logs[i].topics[0]
                    == keccak256("DeliveryCompleted(bytes32,uint64,uint64,bytes32,uint64)")
            ) {
                completed = true;
            }
            if (logs[i].topics[0] == IFreightAdvance.PayeePaid.selector) {
                require(completed, "paid before delivered");
                paid = true;
            }
        }
        require(paid, "not paid in the completing transaction");
    }
}
