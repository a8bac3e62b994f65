// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Two persons for whatever adds risk
/// @notice Holds the roles whose functions add risk. One member proposes, the AccessManager's delay runs, another member
/// enacts; one person alone can do nothing but propose and withdraw. The guardian of the role may cancel in the AccessManager
/// meanwhile. Members never change: other persons are another council, to which this one gives its roles, two persons agreeing.
interface ICouncil {
    event MotionProposed(
        bytes32 indexed motion, address indexed by, address indexed target, bytes data
    );
    event MotionEnacted(bytes32 indexed motion, address indexed by);
    event MotionWithdrawn(bytes32 indexed motion, address indexed by);

    error CouncilMembersInvalid();
    error CouncilMemberOnly(address caller);
    error CouncilMotionUnknown(bytes32 motion);
    error CouncilSamePerson(bytes32 motion, address member);

    /// @notice Proposes a call and starts its delay in the AccessManager.
    /// @dev Reverts with the AccessManager's own error where the council has not the role, or the same call waits already.
    /// @return motion the AccessManager's id of the operation.
    /// @custom:access Members.
    function propose(address target, bytes calldata data) external returns (bytes32 motion);
    /// @notice Makes the proposed call once its delay has run. Not by who proposed it.
    /// @custom:access Members.
    function enact(address target, bytes calldata data) external;
    /// @notice Takes a proposal back.
    /// @custom:access Members.
    function withdraw(address target, bytes calldata data) external;

    /// @notice True for who may propose, enact and withdraw.
    function isMember(address account) external view returns (bool);
    /// @notice Who proposed a call that waits; zero if nobody.
    function proposerOf(bytes32 motion) external view returns (address);
}
