// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

import {ICouncil} from "./interfaces/ICouncil.sol";

/// @title Two persons for whatever adds risk
/// @notice The manual is ICouncil.
contract Council is ICouncil {
    IAccessManager private immutable MANAGER;

    /// @inheritdoc ICouncil
    mapping(address account => bool) public isMember;
    /// @inheritdoc ICouncil
    mapping(bytes32 motion => address) public proposerOf;

    constructor(address authority, address[] memory members) {
        if (members.length < 2) revert CouncilMembersInvalid();
        for (uint256 i = 0; i < members.length; i++) {
            if (members[i] == address(0) || isMember[members[i]]) revert CouncilMembersInvalid();
            isMember[members[i]] = true;
        }
        MANAGER = IAccessManager(authority);
    }

    modifier onlyMember() {
        if (!isMember[msg.sender]) revert CouncilMemberOnly(msg.sender);
        _;
    }

    /// @inheritdoc ICouncil
    function propose(address target, bytes calldata data)
        external
        onlyMember
        returns (bytes32 motion)
    {
        motion = MANAGER.hashOperation(address(this), target, data);
        // One that the guardian cancelled, or that nobody enacted in time, may be proposed again, by anybody.
        proposerOf[motion] = msg.sender;
        emit MotionProposed(motion, msg.sender, target, data);
        // Reverts while the same call waits, so nobody takes a proposal over.
        MANAGER.schedule(target, data, 0);
    }

    /// @inheritdoc ICouncil
    function enact(address target, bytes calldata data) external onlyMember {
        bytes32 motion = _closed(target, data);
        emit MotionEnacted(motion, msg.sender);
        MANAGER.execute(target, data);
    }

    /// @inheritdoc ICouncil
    function withdraw(address target, bytes calldata data) external onlyMember {
        bytes32 motion = MANAGER.hashOperation(address(this), target, data);
        if (proposerOf[motion] == address(0)) revert CouncilMotionUnknown(motion);
        delete proposerOf[motion];
        emit MotionWithdrawn(motion, msg.sender);
        MANAGER.cancel(address(this), target, data);
    }

    /// @dev The two-person rule.
    function _closed(address target, bytes calldata data) private returns (bytes32 motion) {
        motion = MANAGER.hashOperation(address(this), target, data);
        address proposer = proposerOf[motion];
        if (proposer == address(0)) revert CouncilMotionUnknown(motion);
        if (proposer == msg.sender) revert CouncilSamePerson(motion, msg.sender);
        delete proposerOf[motion];
    }
}
