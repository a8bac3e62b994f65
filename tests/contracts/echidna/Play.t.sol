// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {Play} from "./Play.sol";

/// @title What Echidna plays, played here for a moment: it holds, and it comes far
/// @dev A campaign over states that are never reached proves nothing.
contract PlayTest is Test {
    uint256 internal constant GAMES = 20;
    uint256 internal constant STEPS = 160;

    function test_echidnas_play_keeps_every_promise_and_reaches_every_state() public {
        vm.pauseGasMetering();
        vm.warp(1_769_442_600);
        uint256 trips = 0;
        uint256 bills = 0;
        uint256 loans = 0;
        uint256 clean = vm.snapshotState();
        for (uint256 game = 0; game < GAMES; game++) {
            Play play = new Play();
            bytes4[31] memory verbs = [
                play.lend.selector,
                play.lend.selector,
                play.book.selector,
                play.book.selector,
                play.approve.selector,
                play.load.selector,
                play.load.selector,
                play.load.selector,
                play.attest.selector,
                play.attest.selector,
                play.attest.selector,
                play.attest.selector,
                play.confirm.selector,
                play.confirm.selector,
                play.dispute.selector,
                play.resolve.selector,
                play.gate.selector,
                play.nudge.selector,
                play.pay.selector,
                play.act.selector,
                play.cascade.selector,
                play.repay.selector,
                play.act.selector,
                play.act.selector,
                play.act.selector,
                play.bank.selector,
                play.line.selector,
                play.cancel.selector,
                play.credit.selector,
                play.pause.selector,
                play.forge.selector
            ];
            for (uint256 i = 0; i < STEPS; i++) {
                uint256 dice = uint256(keccak256(abi.encode("echidna", game, i)));
                vm.warp(block.timestamp + (dice >> 8) % (game % 2 == 0 ? 8 hours : 3 days));
                bytes4 verb = verbs[dice % verbs.length];
                (bool done,) = address(play).call(abi.encodeWithSelector(verb, dice >> 40));
                assertTrue(done, "the play itself failed");
                assertEq(play.broken(), 0, "a promise is broken");
            }
            assertTrue(play.holds(), "a promise does not hold");
            trips |= play.reachedTrip();
            bills |= play.reachedBill();
            loans |= play.reachedAdvance();
            vm.revertToState(clean);
        }
        assertEq(trips >> 1, 31, "a state of a trip was never reached");
        assertEq(bills >> 1, 31, "a state of a waybill was never reached");
        assertEq(loans >> 1, 511, "a state of an advance was never reached");
    }
}
