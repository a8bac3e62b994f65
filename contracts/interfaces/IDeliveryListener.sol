// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {TripId} from "../types/Ids.sol";

/// @title Who is told when a delivery completes
/// @notice Called once, in the completing transaction, in a try with a gas floor; a revert undoes nothing of the delivery.
interface IDeliveryListener {
    /// @param accepted quantity accepted; @param loaded quantity loaded; @param at when it was confirmed.
    function onDelivered(TripId trip, uint64 accepted, uint64 loaded, uint64 at) external;
}
