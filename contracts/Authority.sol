// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev Nothing of ours: names OpenZeppelin's AccessManager so that it is compiled with the rest and
/// deployed from the same build. Who may call what, and after which delay, is set there by the deployment.
// solhint-disable-next-line no-unused-import
import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
