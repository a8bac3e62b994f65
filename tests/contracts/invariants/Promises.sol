// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {Handler} from "./Handler.sol";
import {AdvanceRecord, Due} from "contracts/interfaces/IFreightAdvance.sol";
import {WaybillRecord} from "contracts/interfaces/IWaybillRegistry.sol";

/// @title The lettered promises of DESIGN section 5, each as a function that a campaign calls
/// @dev What exists is read once into memory and every letter is held against that, not read anew for each letter and each pair
/// of waybills.
abstract contract Promises is Base {
    /// @dev Everything that random play has made, as the contracts tell it now.
    struct World {
        WaybillId[] billIds;
        WaybillRecord[] bills;
        TripId[] tripIds;
        TripState[] trips;
        AdvanceId[] loanIds;
        AdvanceRecord[] loans;
    }

    Handler internal play;

    function startPlay() internal {
        play = new Handler();
        (waybills, deliveries, token, facility, advances, settlement) = play.contracts();
        parties = play.registry();
        targetContract(address(play));
    }

    function keepsEveryPromise() internal view {
        World memory w = look();
        for (uint8 letter = uint8(bytes1("A")); letter <= uint8(bytes1("L")); letter++) {
            string memory wrong = play.wrong(bytes1(letter));
            if (bytes(wrong).length == 0) continue;
            assertEq(wrong, "", string.concat("promise ", string(abi.encodePacked(letter))));
        }
        closure(w);
        delivery(w);
        entrusted(w);
        headroom(w);
        once(w);
        conservation(w);
        fairCost(w);
        bounded(w);
        states(w);
        // B (consent), K (pause) and L (isolation) are facts of a moment: the handler judges them after each call.
    }

    function look() internal view returns (World memory w) {
        (w.tripIds, w.billIds, w.loanIds) = play.all();
        w.bills = new WaybillRecord[](w.billIds.length);
        for (uint256 i = 0; i < w.bills.length; i++) {
            w.bills[i] = waybills.get(w.billIds[i]);
        }
        w.trips = new TripState[](w.tripIds.length);
        for (uint256 i = 0; i < w.trips.length; i++) {
            w.trips[i] = deliveries.stateOf(w.tripIds[i]);
        }
        w.loans = new AdvanceRecord[](w.loanIds.length);
        for (uint256 i = 0; i < w.loans.length; i++) {
            w.loans[i] = advances.get(w.loanIds[i]);
        }
    }

    /// @dev A: a child's issuer is its parent's performer, nobody stands twice, sums are bounded, windows nest.
    function closure(World memory w) internal pure {
        uint256 count = w.bills.length;
        uint256[] memory freight = new uint256[](count);
        uint256[] memory quantity = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            WaybillRecord memory b = w.bills[i];
            assertLe(b.childFreight, b.freight, "A: children's freight");
            assertLe(b.childQuantity, b.quantity, "A: children's quantity");
            if (b.parent == NO_WAYBILL) continue;
            uint256 above = _indexOf(w, b.parent);
            WaybillRecord memory up = w.bills[above];
            assertTrue(b.issuer == up.performer && b.consignee == up.consignee, "A: the chain");
            assertEq(b.tier, up.tier + 1, "A: the tier");
            assertGe(b.loadFrom, up.loadFrom, "A: the window");
            assertLe(b.deliverBy, up.deliverBy, "A: the window");
            if (b.state != WaybillState.Cancelled) {
                freight[above] += b.freight;
                quantity[above] += b.quantity;
            }
            while (true) {
                assertTrue(up.issuer != b.performer && up.performer != b.performer, "A: twice");
                if (up.parent == NO_WAYBILL) break;
                up = w.bills[_indexOf(w, up.parent)];
            }
        }
        for (uint256 i = 0; i < count; i++) {
            assertEq(freight[i], w.bills[i].childFreight, "A: the sum of the children's freight");
            assertEq(quantity[i], w.bills[i].childQuantity, "A: the sum of their quantities");
        }
    }

    function _indexOf(World memory w, WaybillId id) private pure returns (uint256 i) {
        while (w.billIds[i] != id) {
            i++;
        }
    }

    /// @dev C: a delivery completes once (the handler's model says when); nothing is paid before.
    function delivery(World memory w) internal view {
        for (uint256 i = 0; i < w.trips.length; i++) {
            uint256 completed = w.trips[i] == TripState.Delivered ? 1 : 0;
            assertEq(play.completions(w.tripIds[i]), completed, "C: completed once");
        }
        for (uint256 i = 0; i < w.loans.length; i++) {
            if (play.paid(w.loanIds[i]) == 0) continue;
            assertState(w.loans[i].trip, TripState.Delivered);
        }
    }

    /// @dev D: cash of an advance goes once, to its payees only, at most the principal; the borrower sees none of it.
    function entrusted(World memory w) internal view {
        for (uint256 i = 0; i < w.loans.length; i++) {
            AdvanceId id = w.loanIds[i];
            AdvanceRecord memory a = w.loans[i];
            assertLe(play.releases(id), 1, "D: released twice");
            assertLe(play.paid(id), a.released, "D: more paid than released");
            assertLe(a.released, a.principal, "D: more released than approved");
            Payee[] memory payees = advances.payeesOf(id);
            uint256 sum = 0;
            for (uint256 j = 0; j < payees.length; j++) {
                sum += payees[j].amount;
                assertLe(play.payments(id, payees[j].party), 1, "D: a payee was paid twice");
            }
            assertEq(sum, a.principal, "D: the payees' sum is the principal");
            if (payees.length == 2 && play.payments(id, payees[1].party) == 1) {
                (uint128 first,,) = advances.grantOf(id, 0);
                assertGt(first, 0, "D: the driver is first");
            }
        }
    }

    /// @dev E: the vault holds what lenders have free and what is reserved for approved advances, to the fen.
    function headroom(World memory w) internal view {
        uint256 reserved = 0;
        for (uint256 i = 0; i < 2; i++) {
            reserved += facility.reserved(play.lines(i));
        }
        assertEq(
            token.balanceOf(address(facility)),
            uint256(facility.cash(LENDER)) + facility.cash(LENDER2) + reserved,
            "E: the vault"
        );
        uint256[2] memory locked;
        uint256[2] memory drawn;
        LineId first = play.lines(0);
        for (uint256 i = 0; i < w.loans.length; i++) {
            AdvanceRecord memory a = w.loans[i];
            uint256 k = LineId.unwrap(a.line) == LineId.unwrap(first) ? 0 : 1;
            if (a.state == AdvanceState.Approved || a.state == AdvanceState.Releasable) {
                locked[k] += a.principal;
            }
            if (a.state == AdvanceState.Released || a.state == AdvanceState.Defaulted) {
                drawn[k] += a.outstanding;
            }
        }
        for (uint256 k = 0; k < 2; k++) {
            assertEq(facility.reserved(play.lines(k)), locked[k], "E: reserved for each advance");
            assertEq(facility.drawn(play.lines(k)), drawn[k], "E: drawn by each loan");
        }
    }

    /// @dev F: one live advance a trip and a fingerprint; a vehicle is on one trip.
    function once(World memory w) internal view {
        for (uint256 i = 0; i < w.trips.length; i++) {
            TripId trip = w.tripIds[i];
            if (w.trips[i] == TripState.Loaded || w.trips[i] == TripState.Held) {
                (, bytes32 vehicle) = waybills.vehicleOf(trip);
                assertTrue(deliveries.tripOfVehicle(vehicle) == trip, "F: the vehicle's lock");
            }
        }
        for (uint256 i = 0; i < w.loans.length; i++) {
            if (!_lives(w.loans[i].state)) continue;
            assertTrue(advances.isPledged(w.loans[i].fingerprint), "F: live and not pledged");
            for (uint256 j = 0; j < i; j++) {
                if (!_lives(w.loans[j].state)) continue;
                assertTrue(w.loans[i].trip != w.loans[j].trip, "F: two advances on one trip");
                assertTrue(
                    w.loans[i].fingerprint != w.loans[j].fingerprint, "F: one receivable twice"
                );
            }
        }
    }

    function _lives(AdvanceState state) private pure returns (bool) {
        return state >= AdvanceState.Approved && state <= AdvanceState.WrittenOff;
    }

    /// @dev G: supply is mints less burns; each settlement gives out what it took in; loans return what they took.
    function conservation(World memory w) internal view {
        assertEq(token.totalSupply(), play.minted() - play.burned(), "G: supply");
        for (uint256 i = 0; i < w.loans.length; i++) {
            assertEq(
                play.paid(w.loanIds[i]),
                play.principalPaid(w.loanIds[i]) + w.loans[i].outstanding,
                "G: drawn = repaid + outstanding"
            );
        }
    }

    /// @dev H: what was charged never exceeds the ceiling on what was owed, and what is due never falls with time.
    function fairCost(World memory w) internal view {
        uint32 day = advances.today();
        for (uint256 i = 0; i < w.loans.length; i++) {
            AdvanceId id = w.loanIds[i];
            if (play.paid(id) == 0) continue;
            Due memory now_ = advances.due(id, day);
            Due memory later = advances.due(id, day + 1);
            assertGe(
                later.interest + later.penalty + later.fee,
                now_.interest + now_.penalty + now_.fee,
                "H: time"
            );
            assertLe(
                play.chargesPaid(id) + now_.fee + now_.penalty + now_.interest,
                play.ceilingNum(id) / 365_000_000,
                "H: the ceiling"
            );
        }
    }

    /// @dev I: nobody is paid more freight than he earned and was not credited.
    function bounded(World memory w) internal pure {
        for (uint256 i = 0; i < w.bills.length; i++) {
            WaybillRecord memory b = w.bills[i];
            assertLe(b.paid, uint256(b.freight) * b.accepted / b.quantity, "I: overpaid");
            assertLe(b.accepted, b.deliveredQuantity, "I: accepted");
            assertLe(b.deliveredQuantity, b.quantity, "I: delivered");
        }
    }

    /// @dev J: every state moved along its published table, and the events alone tell every state.
    function states(World memory w) internal view {
        for (uint256 i = 0; i < w.loans.length; i++) {
            assertTrue(play.advanceByEvents(w.loanIds[i]) == w.loans[i].state, "J: an advance");
        }
        for (uint256 i = 0; i < w.trips.length; i++) {
            assertTrue(play.tripFollowed(w.tripIds[i]) == w.trips[i], "J: a trip");
        }
        for (uint256 i = 0; i < w.bills.length; i++) {
            assertTrue(play.billByEvents(w.billIds[i]) == w.bills[i].state, "J: a waybill");
        }
    }

    /// @dev Where `YUNDAN_REACH` names a folder, each run leaves there what it reached: one line `what,how often`.
    /// `python -m tests.contracts.deep invariants` adds them up.
    function afterInvariant() public {
        string memory folder = vm.envOr("YUNDAN_REACH", string(""));
        if (bytes(folder).length == 0) return;
        string memory lines = play.reached();
        vm.writeLine(string.concat(folder, "/reach.csv"), lines);
    }
}
