// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

/// @dev Stands where the token stood and calls back on every move; what the callee said is kept.
contract HostileToken {
    address[] public to;
    bytes[] public calls;
    uint256 public accepted;
    uint256 public refusedAsReentrant;
    uint256 public moves;
    uint128 public balance = 1_000_000_000;

    function arm(address target, bytes calldata data) external {
        to.push(target);
        calls.push(data);
    }

    function balanceOf(address) external view returns (uint256) {
        return balance;
    }

    function move(address, address, uint128) external {
        moves++;
        for (uint256 i = 0; i < to.length; i++) {
            (bool done, bytes memory why) = to[i].call(calls[i]);
            if (done) {
                accepted++;
            } else if (bytes4(why) == ReentrancyGuard.ReentrancyGuardReentrantCall.selector) {
                refusedAsReentrant++;
            }
        }
    }

    function queuePayout(PartyId, bytes32, uint128, bytes32) external {}
}

/// @title A token that calls back gets nothing done twice
/// @dev The token is fixed at construction, so this could only come with a hostile deployment; the guards hold all the same.
contract HostileTokenTest is Base {
    HostileToken internal hostile;

    function _swap() internal {
        hostile = new HostileToken();
        bytes memory code = address(hostile).code;
        vm.etch(address(token), code);
        hostile = HostileToken(address(token));
        // Its own words of storage begin empty where the token's stood.
        for (uint256 i = 0; i < 12; i++) {
            vm.store(address(token), bytes32(i), 0);
        }
        vm.store(address(token), bytes32(uint256(5)), bytes32(uint256(MID_FREIGHT)));
    }

    function test_a_release_is_entered_once() public {
        AdvanceId id = approvedAdvance();
        load(loadingOf(TRIP));
        drive(TRIP);
        _swap();
        hostile.arm(address(advances), abi.encodeCall(advances.retry, (id)));
        hostile.arm(address(advances), abi.encodeCall(advances.expire, (id)));
        hostile.arm(address(settlement), abi.encodeCall(settlement.settle, (mid)));
        confirm(confirmationOf(TRIP));
        assertState(id, AdvanceState.Released);
        assertEq(advances.get(id).released, PRINCIPAL);
        assertEq(facility.drawn(line), PRINCIPAL);
        assertEq(waybills.get(leaf).paid, PRINCIPAL);
        assertGe(hostile.refusedAsReentrant(), 2, "retry and expire were not refused as re-entrant");
        (uint128 granted,, bool paid) = advances.grantOf(id, 0);
        assertTrue(paid && granted == PRINCIPAL);
    }

    function test_a_settlement_is_entered_once() public {
        AdvanceId id = approvedAdvance();
        deliver(TRIP, QUANTITY);
        _swap();
        hostile.arm(address(settlement), abi.encodeCall(settlement.settle, (mid)));
        hostile.arm(address(advances), abi.encodeCall(advances.retry, (id)));
        submit(address(settlement), abi.encodeCall(settlement.settle, (mid)));
        assertEq(hostile.accepted(), 0);
        assertGe(hostile.refusedAsReentrant(), hostile.moves());
        assertEq(waybills.get(mid).paid, MID_FREIGHT);
        assertEq(advances.get(id).outstanding, 0);
    }
}
