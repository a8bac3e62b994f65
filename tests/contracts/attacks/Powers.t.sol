// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

/// @title What the administrator can do, and that it is neither money nor records (promise: no admin path)
contract PowersTest is Base {
    uint64 internal constant RISK = 1; // adds risk: waits, and a guardian may cancel
    uint64 internal constant SAFETY = 2; // removes risk: at once
    uint64 internal constant GUARDIAN = 3;
    uint32 internal constant WAIT = 2 days;

    address internal operator = makeAddr("operator");
    address internal guardian = makeAddr("guardian");
    address internal council = makeAddr("council");

    /// @dev As the deployment does it: roles, delays, a guardian, and the deployer gives everything away.
    function _handOver() internal {
        vm.startPrank(admin);
        bytes4[] memory f = new bytes4[](1);
        f[0] = parties.setRegistrar.selector;
        manager.setTargetFunctionRole(address(parties), f, RISK);
        f = new bytes4[](2);
        (f[0], f[1]) = (deliveries.addAttestor.selector, deliveries.setArbiter.selector);
        manager.setTargetFunctionRole(address(deliveries), f, RISK);
        (f[0], f[1]) = (token.setCustodian.selector, token.setDailyCap.selector);
        manager.setTargetFunctionRole(address(token), f, RISK);
        f = new bytes4[](1);
        f[0] = advances.unpause.selector;
        manager.setTargetFunctionRole(address(advances), f, RISK);
        f[0] = advances.pause.selector;
        manager.setTargetFunctionRole(address(advances), f, SAFETY);
        f[0] = deliveries.removeAttestor.selector;
        manager.setTargetFunctionRole(address(deliveries), f, SAFETY);
        manager.grantRole(RISK, operator, WAIT);
        manager.grantRole(SAFETY, guardian, 0);
        manager.grantRole(GUARDIAN, guardian, 0);
        manager.setRoleGuardian(RISK, GUARDIAN);
        manager.grantRole(manager.ADMIN_ROLE(), council, WAIT);
        manager.renounceRole(manager.ADMIN_ROLE(), admin);
        vm.stopPrank();
    }

    function test_the_deployer_is_left_with_no_power() public {
        _handOver();
        (bool isAdmin,) = manager.hasRole(manager.ADMIN_ROLE(), admin);
        assertFalse(isAdmin);
        bytes memory error_ =
            abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, admin);
        vm.startPrank(admin);
        vm.expectRevert(error_);
        parties.setRegistrar(admin);
        vm.expectRevert(error_);
        deliveries.addAttestor(STRANGER);
        vm.expectRevert(error_);
        deliveries.removeAttestor(ATTESTOR1);
        vm.expectRevert(error_);
        deliveries.setArbiter(STRANGER);
        vm.expectRevert(error_);
        token.setCustodian(STRANGER, SUB);
        vm.expectRevert(error_);
        token.setDailyCap(1);
        vm.expectRevert(error_);
        advances.pause();
        vm.expectRevert(error_);
        advances.unpause();
        uint64 adminRole = manager.ADMIN_ROLE();
        vm.expectRevert();
        manager.grantRole(adminRole, admin, 0);
        vm.stopPrank();
    }

    function test_what_adds_risk_takes_two_people_and_days() public {
        _handOver();
        bytes memory call_ = abi.encodeCall(deliveries.addAttestor, (STRANGER));
        vm.startPrank(operator);
        vm.expectRevert(); // not scheduled
        deliveries.addAttestor(STRANGER);
        manager.schedule(address(deliveries), call_, 0);
        vm.warp(block.timestamp + WAIT - 1);
        vm.expectRevert(); // not yet
        deliveries.addAttestor(STRANGER);
        vm.stopPrank();
        vm.prank(guardian); // the second pair of eyes
        manager.cancel(operator, address(deliveries), call_);
        vm.warp(block.timestamp + 1);
        vm.prank(operator);
        vm.expectRevert();
        deliveries.addAttestor(STRANGER);
        vm.startPrank(operator);
        manager.schedule(address(deliveries), call_, 0);
        vm.warp(block.timestamp + WAIT);
        deliveries.addAttestor(STRANGER);
        vm.stopPrank();
        assertTrue(deliveries.isAttestor(STRANGER));
    }

    function test_what_removes_risk_is_immediate() public {
        _handOver();
        vm.startPrank(guardian);
        deliveries.removeAttestor(ATTESTOR1);
        advances.pause();
        vm.stopPrank();
        assertFalse(deliveries.isAttestor(ATTESTOR1));
        assertTrue(advances.paused());
        vm.prank(guardian);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, guardian)
        );
        advances.unpause();
    }

    /// @dev Every function of the five contracts that hold records or money, called by the administrator and by the
    /// manager itself: none moves a fen, edits a record or unpledges.
    function test_no_administrator_moves_money_or_records() public {
        AdvanceId id = approvedAdvance();
        deliver(TRIP, QUANTITY / 2); // RELEASABLE
        address[2] memory who = [admin, address(manager)];
        for (uint256 i = 0; i < 2; i++) {
            _cannot(
                who[i], address(token), abi.encodeCall(token.move, (address(facility), admin, 1))
            );
            _cannot(who[i], address(token), abi.encodeCall(token.queuePayout, (SUB, "a", 1, "p")));
            _cannot(who[i], address(facility), abi.encodeCall(facility.voidReserve, (line, 1)));
            _cannot(who[i], address(facility), abi.encodeCall(facility.reserve, (line, 1)));
            _cannot(
                who[i], address(facility), abi.encodeCall(facility.draw, (id, 1, SUB, "a", "p"))
            );
            _cannot(who[i], address(waybills), abi.encodeCall(waybills.release, (mid, LENDER)));
            _cannot(who[i], address(waybills), abi.encodeCall(waybills.recordPaid, (mid, 1)));
            _cannot(who[i], address(waybills), abi.encodeCall(waybills.recordVoid, (TRIP)));
            _cannot(who[i], address(advances), abi.encodeCall(advances.payPayee, (id, 0)));
            _cannot(who[i], address(advances), abi.encodeCall(advances.settle, (id, admin, 1)));
            _cannot(who[i], address(deliveries), abi.encodeCall(deliveries.expire, (TRIP)));
        }
    }

    function _cannot(address who, address to, bytes memory data) internal {
        vm.prank(who);
        (bool done,) = to.call(data);
        assertFalse(done, "an administrator could");
        vm.prank(admin);
        (done,) = address(manager).call(abi.encodeCall(IAccessManager.execute, (to, data)));
        assertFalse(done, "an administrator could, through the manager");
    }
}
