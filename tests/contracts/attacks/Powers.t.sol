// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {Council} from "contracts/Council.sol";
import {ICouncil} from "contracts/interfaces/ICouncil.sol";

/// @title What the administrator can do, and that it is neither money nor records (promise: no admin path)
contract PowersTest is Base {
    uint64 internal constant RISK = 1; // adds risk: waits, and a guardian may cancel
    uint64 internal constant SAFETY = 2; // removes risk: at once
    uint64 internal constant GUARDIAN = 3;
    uint32 internal constant WAIT = 2 days;

    address internal officer1 = makeAddr("officer 1");
    address internal officer2 = makeAddr("officer 2");
    address internal guardian = makeAddr("guardian");
    Council internal council;

    /// @dev As the deployment does it (deploy/powers.py): roles, delays, a guardian, a council of two persons, and the
    /// deployer gives everything away.
    function _handOver() internal {
        address[] memory members = new address[](2);
        (members[0], members[1]) = (officer1, officer2);
        council = Council(deployCode("Council.sol:Council", abi.encode(address(manager), members)));
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
        manager.grantRole(RISK, address(council), WAIT);
        manager.grantRole(SAFETY, guardian, 0);
        manager.grantRole(GUARDIAN, guardian, 0);
        manager.setRoleGuardian(RISK, GUARDIAN);
        manager.grantRole(manager.ADMIN_ROLE(), address(council), WAIT);
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
        address to = address(deliveries);
        vm.prank(officer1);
        bytes32 motion = council.propose(to, call_);
        assertEq(council.proposerOf(motion), officer1);
        vm.warp(block.timestamp + WAIT - 1);
        vm.prank(officer2);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessManager.AccessManagerNotReady.selector, motion)
        );
        council.enact(to, call_);
        vm.warp(block.timestamp + 1);
        vm.prank(officer2);
        council.enact(to, call_);
        assertTrue(deliveries.isAttestor(STRANGER));
        assertEq(council.proposerOf(motion), address(0));
    }

    /// @dev Everything one officer can try for each call that adds risk, the roles of the manager included.
    function test_one_person_alone_adds_no_risk() public {
        _handOver();
        (address[] memory to, bytes[] memory calls) = _risks();
        for (uint256 i = 0; i < to.length; i++) {
            vm.startPrank(officer1);
            (bool done,) = to[i].call(calls[i]);
            assertFalse(done, "called directly");
            (done,) =
                address(manager).call(abi.encodeCall(IAccessManager.execute, (to[i], calls[i])));
            assertFalse(done, "executed through the manager");
            (done,) = address(manager)
                .call(abi.encodeCall(IAccessManager.schedule, (to[i], calls[i], uint48(0))));
            assertFalse(done, "scheduled in his own name");
            bytes32 motion = council.propose(to[i], calls[i]);
            vm.warp(block.timestamp + WAIT);
            vm.expectRevert(
                abi.encodeWithSelector(ICouncil.CouncilSamePerson.selector, motion, officer1)
            );
            council.enact(to[i], calls[i]);
            vm.expectRevert(); // it waits already: he cannot propose it anew to change who proposed
            council.propose(to[i], calls[i]);
            vm.stopPrank();
            vm.prank(guardian);
            vm.expectRevert(abi.encodeWithSelector(ICouncil.CouncilMemberOnly.selector, guardian));
            council.enact(to[i], calls[i]);
            vm.prank(officer2); // and two can
            council.enact(to[i], calls[i]);
        }
    }

    function _risks() internal view returns (address[] memory to, bytes[] memory calls) {
        (to, calls) = (new address[](7), new bytes[](7));
        (to[0], calls[0]) = (address(parties), abi.encodeCall(parties.setRegistrar, (officer1)));
        (to[1], calls[1]) =
        (address(deliveries), abi.encodeCall(deliveries.addAttestor, (STRANGER)));
        (to[2], calls[2]) = (address(deliveries), abi.encodeCall(deliveries.setArbiter, (SUB)));
        (to[3], calls[3]) = (address(token), abi.encodeCall(token.setCustodian, (SUB, DRIVER)));
        (to[4], calls[4]) = (address(token), abi.encodeCall(token.setDailyCap, (1)));
        (to[5], calls[5]) =
        (address(manager), abi.encodeCall(manager.grantRole, (RISK, officer1, uint32(0))));
        (to[6], calls[6]) =
        (address(manager), abi.encodeCall(manager.grantRole, (uint64(0), officer1, uint32(0))));
    }

    function test_the_guardian_cancels_and_another_may_propose_again() public {
        _handOver();
        bytes memory call_ = abi.encodeCall(deliveries.addAttestor, (STRANGER));
        address to = address(deliveries);
        vm.prank(officer1);
        bytes32 motion = council.propose(to, call_);
        vm.prank(guardian);
        manager.cancel(address(council), to, call_);
        vm.warp(block.timestamp + WAIT);
        vm.prank(officer2);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessManager.AccessManagerNotScheduled.selector, motion)
        );
        council.enact(to, call_);
        vm.prank(officer2);
        council.propose(to, call_);
        vm.warp(block.timestamp + WAIT);
        vm.prank(officer1);
        council.enact(to, call_);
        assertTrue(deliveries.isAttestor(STRANGER));
    }

    function test_a_member_withdraws_and_nothing_is_left() public {
        _handOver();
        bytes memory call_ = abi.encodeCall(deliveries.addAttestor, (STRANGER));
        address to = address(deliveries);
        vm.prank(officer1);
        bytes32 motion = council.propose(to, call_);
        vm.prank(officer1);
        council.withdraw(to, call_);
        bytes memory unknown =
            abi.encodeWithSelector(ICouncil.CouncilMotionUnknown.selector, motion);
        vm.startPrank(officer2);
        vm.expectRevert(unknown);
        council.withdraw(to, call_);
        vm.expectRevert(unknown);
        council.enact(to, call_);
        vm.stopPrank();
    }

    function test_a_council_has_two_persons_at_least_and_nobody_twice() public {
        address[] memory members = new address[](1);
        members[0] = officer1;
        vm.expectRevert(ICouncil.CouncilMembersInvalid.selector);
        new Council(address(manager), members);
        members = new address[](2);
        (members[0], members[1]) = (officer1, officer1);
        vm.expectRevert(ICouncil.CouncilMembersInvalid.selector);
        new Council(address(manager), members);
        members[1] = address(0);
        vm.expectRevert(ICouncil.CouncilMembersInvalid.selector);
        new Council(address(manager), members);
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
