// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {Handler} from "./Handler.sol";
import {AdvanceRecord, Due} from "contracts/interfaces/IFreightAdvance.sol";
import {WaybillRecord} from "contracts/interfaces/IWaybillRegistry.sol";

/// @title The lettered promises of DESIGN section 5, after every step of random play
contract PromisesTest is Base {
    Handler internal play;
    uint256 internal tripCount;
    uint256 internal billCount;
    uint256 internal loanCount;

    function setUp() public override {
        play = new Handler();
        (waybills, deliveries, token, facility, advances, settlement) = play.contracts();
        targetContract(address(play));
        bytes4[] memory no = new bytes4[](6);
        no[0] = play.setUp.selector;
        no[1] = play.advanceMoves.selector;
        no[2] = play.tripMoves.selector;
        no[3] = play.billMoves.selector;
        no[4] = play.counts.selector;
        no[5] = play.contracts.selector;
        excludeSelector(FuzzSelector({addr: address(play), selectors: no}));
    }

    function _none(bytes1 letter) internal {
        assertEq(play.wrong(letter), "", "broken promise");
        (tripCount, billCount, loanCount) = play.counts();
    }

    /// @dev A child's issuer is its parent's performer, nobody stands twice, sums are bounded, windows nest.
    function invariant_A_closure() public {
        _none("A");
        for (uint256 i = 0; i < billCount; i++) {
            WaybillId id = play.bills(i);
            WaybillRecord memory w = waybills.get(id);
            assertLe(w.childFreight, w.freight, "children's freight");
            assertLe(w.childQuantity, w.quantity, "children's quantity");
            if (w.parent == NO_WAYBILL) continue;
            WaybillRecord memory up = waybills.get(w.parent);
            assertTrue(w.issuer == up.performer && w.consignee == up.consignee);
            assertEq(w.tier, up.tier + 1);
            assertGe(w.loadFrom, up.loadFrom);
            assertLe(w.deliverBy, up.deliverBy);
            WaybillId at = w.parent;
            while (at != NO_WAYBILL) {
                WaybillRecord memory a = waybills.get(at);
                assertTrue(a.issuer != w.performer && a.performer != w.performer, "twice");
                at = a.parent;
            }
        }
        uint64 childSum = 0;
        for (uint256 i = 0; i < billCount; i++) {
            WaybillRecord memory w = waybills.get(play.bills(i));
            childSum = 0;
            for (uint256 j = 0; j < billCount; j++) {
                WaybillRecord memory c = waybills.get(play.bills(j));
                if (c.parent == play.bills(i) && c.state != WaybillState.Cancelled) {
                    childSum += uint64(c.freight);
                }
            }
            assertEq(childSum, w.childFreight, "the sum of the children");
        }
    }

    /// @dev No forged and no used form moves anything.
    function invariant_B_consent() public {
        _none("B");
    }

    /// @dev A delivery completes if and only if receipt and k attestations agree; nothing is paid before.
    function invariant_C_delivery() public {
        _none("C");
        for (uint256 i = 0; i < tripCount; i++) {
            assertLe(play.completions(play.trips(i)), 1, "completed twice");
        }
    }

    /// @dev Cash of an advance goes once, to its payees only, at most the principal; the borrower sees none of it.
    function invariant_D_entrusted() public {
        _none("D");
        for (uint256 i = 0; i < loanCount; i++) {
            AdvanceId id = play.loans(i);
            AdvanceRecord memory a = advances.get(id);
            assertLe(play.releases(id), 1, "released twice");
            assertLe(play.paid(id), a.released, "more paid than released");
            assertLe(a.released, a.principal, "more released than approved");
            Payee[] memory payees = advances.payeesOf(id);
            uint256 sum = 0;
            for (uint256 j = 0; j < payees.length; j++) {
                sum += payees[j].amount;
                assertLe(play.payments(id, payees[j].party), 1, "a payee was paid twice");
            }
            assertEq(sum, a.principal, "the payees' sum is the principal");
            if (payees.length == 2 && play.payments(id, payees[1].party) == 1) {
                (uint128 first,,) = advances.grantOf(id, 0);
                assertGt(first, 0, "the driver is first");
            }
        }
    }

    /// @dev The vault holds what lenders have free and what is reserved for approved advances, to the fen.
    function invariant_E_headroom() public {
        _none("E");
        uint256 reserved = 0;
        uint256[2] memory locked;
        for (uint256 i = 0; i < 2; i++) {
            reserved += facility.reserved(play.lines(i));
        }
        assertEq(
            token.balanceOf(address(facility)),
            uint256(facility.cash(LENDER)) + facility.cash(LENDER2) + reserved,
            "the vault"
        );
        uint256[2] memory drawn;
        for (uint256 i = 0; i < loanCount; i++) {
            AdvanceId id = play.loans(i);
            AdvanceRecord memory a = advances.get(id);
            uint256 k = LineId.unwrap(a.line) == LineId.unwrap(play.lines(0)) ? 0 : 1;
            if (a.state == AdvanceState.Approved || a.state == AdvanceState.Releasable) {
                locked[k] += a.principal;
            }
            if (a.state == AdvanceState.Released || a.state == AdvanceState.Defaulted) {
                drawn[k] += a.outstanding;
            }
        }
        for (uint256 k = 0; k < 2; k++) {
            assertEq(facility.reserved(play.lines(k)), locked[k], "reserved for each advance");
            assertEq(facility.drawn(play.lines(k)), drawn[k], "drawn by each loan");
        }
    }

    /// @dev One live advance a trip and a fingerprint; a vehicle is on one trip.
    function invariant_F_once() public {
        _none("F");
        for (uint256 i = 0; i < tripCount; i++) {
            TripId trip = play.trips(i);
            TripState state = deliveries.stateOf(trip);
            (, bytes32 vehicle,,) = waybills.tripTerms(trip);
            if (state == TripState.Loaded || state == TripState.Held) {
                assertTrue(deliveries.tripOfVehicle(vehicle) == trip, "the vehicle's lock");
            }
            uint256 live = 0;
            for (uint256 j = 0; j < loanCount; j++) {
                AdvanceRecord memory a = advances.get(play.loans(j));
                bool lives = a.state >= AdvanceState.Approved && a.state <= AdvanceState.WrittenOff;
                if (a.trip == trip && lives) live++;
            }
            assertLe(live, 1, "two advances on one trip");
        }
    }

    /// @dev Supply is mints less burns; each settlement gives out what it took in; loans return what they took.
    function invariant_G_conservation() public {
        _none("G");
        assertEq(token.totalSupply(), play.minted() - play.burned(), "supply");
        for (uint256 i = 0; i < loanCount; i++) {
            AdvanceId id = play.loans(i);
            assertEq(
                play.paid(id),
                play.principalPaid(id) + advances.get(id).outstanding,
                "drawn = repaid + outstanding"
            );
        }
    }

    /// @dev What was charged never exceeds the ceiling on what was owed, and what is due never falls with time.
    function invariant_H_fair_cost() public {
        _none("H");
        uint32 day = advances.today();
        for (uint256 i = 0; i < loanCount; i++) {
            AdvanceId id = play.loans(i);
            Due memory now_ = advances.due(id, day);
            Due memory later = advances.due(id, day + 1);
            assertGe(
                later.interest + later.penalty + later.fee,
                now_.interest + now_.penalty + now_.fee,
                "time"
            );
            if (play.paid(id) == 0) continue;
            assertLe(
                play.chargesPaid(id) + now_.fee + now_.penalty + now_.interest,
                play.ceilingNum(id) / 365_000_000,
                "the ceiling"
            );
        }
    }

    /// @dev Nobody is paid more freight than he earned and was not credited.
    function invariant_I_bounded() public {
        _none("I");
        for (uint256 i = 0; i < billCount; i++) {
            WaybillRecord memory w = waybills.get(play.bills(i));
            assertLe(w.paid, uint256(w.freight) * w.accepted / w.quantity, "overpaid");
            assertLe(w.accepted, w.deliveredQuantity);
            assertLe(w.deliveredQuantity, w.quantity);
        }
    }

    /// @dev Every state moved along its published table, and the events alone tell every state.
    function invariant_J_states() public {
        _none("J");
        for (uint256 i = 0; i < loanCount; i++) {
            AdvanceId id = play.loans(i);
            assertState(id, play.advanceByEvents(id));
        }
        for (uint256 i = 0; i < tripCount; i++) {
            assertState(play.trips(i), play.tripFollowed(play.trips(i)));
        }
        for (uint256 i = 0; i < billCount; i++) {
            assertState(play.bills(i), play.billByEvents(play.bills(i)));
        }
    }

    /// @dev While paused nothing was requested or approved.
    function invariant_K_pause() public {
        _none("K");
    }

    /// @dev No listener and no payee failed: no release can be stopped by anything in the system.
    function invariant_L_isolation() public {
        _none("L");
    }
}
