// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PartyId, WaybillId} from "../types/Ids.sol";

/// @title Token accounts without keys
/// @notice Addresses derived from an id; nobody can sign for them, so only the contracts move what lies there.
library Accounts {
    /// @return the account of a party.
    function ofParty(PartyId party) internal pure returns (address) {
        return _derived(keccak256(abi.encode("yundan.party", party)));
    }

    /// @return the account into which the debtor of a waybill pays.
    function ofCollection(WaybillId waybill) internal pure returns (address) {
        return _derived(keccak256(abi.encode("yundan.collection", waybill)));
    }

    function _derived(bytes32 seed) private pure returns (address) {
        return address(uint160(uint256(seed)));
    }
}
