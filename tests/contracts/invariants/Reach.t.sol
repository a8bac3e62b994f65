// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {console2} from "forge-std/console2.sol";

import "../Base.t.sol";
import {Handler} from "./Handler.sol";
import {ICreditFacility} from "contracts/interfaces/ICreditFacility.sol";
import {IDeliveryRegistry} from "contracts/interfaces/IDeliveryRegistry.sol";
import {IFreightAdvance} from "contracts/interfaces/IFreightAdvance.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";
import {IWaybillRegistry} from "contracts/interfaces/IWaybillRegistry.sol";

/// @title What random play reaches
/// @dev An invariant over a state that is never reached proves nothing: here the same handler plays a fixed random
/// sequence, every state must have been reached and every main refusal met. `forge test --mc ReachTest -vv` prints how often.
contract ReachTest is Base {
    uint256 internal constant GAMES = 16;
    uint256 internal constant STEPS = 250;

    uint256[10] internal advanceStates;
    uint256[6] internal tripStates;
    uint256[6] internal billStates;
    bytes4[] internal errors;
    mapping(bytes4 => uint256) internal refusals;

    function setUp() public override {
        errors = [
            IPartyRegistry.PartySignatureInvalid.selector,
            IWaybillRegistry.WaybillAlreadyIssued.selector,
            IWaybillRegistry.WaybillVersionStale.selector,
            IWaybillRegistry.WaybillUnexpectedState.selector,
            IWaybillRegistry.WaybillFreightExceedsParent.selector,
            IWaybillRegistry.WaybillChildrenExceed.selector,
            IDeliveryRegistry.VehicleBusy.selector,
            IDeliveryRegistry.TripUnexpectedState.selector,
            IDeliveryRegistry.TripAlreadyConfirmed.selector,
            IDeliveryRegistry.AttestorUnknown.selector,
            IFreightAdvance.AdvanceUnexpectedState.selector,
            IFreightAdvance.AdvanceReceivablePledged.selector,
            IFreightAdvance.AdvanceNotExpired.selector,
            ICreditFacility.LineHeadroomExceeded.selector
        ];
    }

    function test_random_play_reaches_every_state_and_refusal() public {
        vm.pauseGasMetering();
        for (uint256 game = 0; game < GAMES; game++) {
            Handler play = new Handler();
            for (uint256 i = 0; i < STEPS; i++) {
                (bool done,) = address(play).call(abi.encodeCall(play.step, (game)));
                assertTrue(done, "the handler itself failed");
            }
            for (uint8 i = 1; i < 10; i++) {
                advanceStates[i] += play.advancesReached(i);
            }
            for (uint8 i = 1; i < 6; i++) {
                tripStates[i] += play.tripsReached(i);
            }
            for (uint8 i = 1; i < 6; i++) {
                billStates[i] += play.billsReached(i);
            }
            for (uint256 i = 0; i < errors.length; i++) {
                refusals[errors[i]] += play.refusals(errors[i]);
            }
        }
        for (uint8 i = 1; i < 10; i++) {
            console2.log("advance state, times reached:", i, advanceStates[i]);
        }
        for (uint8 i = 1; i < 6; i++) {
            console2.log("trip and waybill state, times reached:", i, tripStates[i], billStates[i]);
        }
        for (uint256 i = 0; i < errors.length; i++) {
            console2.log("refusal, times met:", vm.toString(errors[i]), refusals[errors[i]]);
        }
        for (uint8 i = 1; i < 10; i++) {
            assertGt(advanceStates[i], 0, "a state of an advance was never reached");
        }
        for (uint8 i = 1; i < 6; i++) {
            assertGt(tripStates[i], 0, "a state of a trip was never reached");
            assertGt(billStates[i], 0, "a state of a waybill was never reached");
        }
        for (uint256 i = 0; i < errors.length; i++) {
            assertGt(refusals[errors[i]], 0, "a refusal was never met");
        }
    }
}
