// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Accounts} from "contracts/libraries/Accounts.sol";
import {Accrual} from "contracts/libraries/Accrual.sol";
import {AdvanceTerms} from "contracts/libraries/AdvanceTerms.sol";
import {Calendar} from "contracts/libraries/Calendar.sol";
import {Moves} from "contracts/libraries/Moves.sol";
import {Waterfall} from "contracts/libraries/Waterfall.sol";
import {PartyId, WaybillId} from "contracts/types/Ids.sol";
import {AdvanceState, TripState, WaybillState} from "contracts/types/States.sol";

/// @title The pure libraries behind a door of their own
/// @dev A test that calls them here can be held against a library with a fault in it without being compiled anew.
contract Pure {
    function shared(uint128 payment, Waterfall.Debt memory debt)
        external
        pure
        returns (Waterfall.Shares memory)
    {
        return Waterfall.shared(payment, debt);
    }

    function accrued(
        Accrual.Account memory account,
        Accrual.Rates memory rates,
        uint256 principal,
        uint32 day
    ) external pure returns (Accrual.Account memory) {
        return Accrual.accrued(account, rates, principal, day);
    }

    function chargedDown(Accrual.Account memory account, Accrual.Rates memory rates)
        external
        pure
        returns (Accrual.Charges memory)
    {
        return Accrual.chargedDown(account, rates);
    }

    function waivedDown(Accrual.Account memory account, Accrual.Rates memory rates)
        external
        pure
        returns (uint128)
    {
        return Accrual.waivedDown(account, rates);
    }

    function dayOf(uint256 time) external pure returns (uint32) {
        return Calendar.dayOf(time);
    }

    function today() external view returns (uint32) {
        return Calendar.today();
    }

    function ofParty(PartyId party) external pure returns (address) {
        return Accounts.ofParty(party);
    }

    function ofCollection(WaybillId waybill) external pure returns (address) {
        return Accounts.ofCollection(waybill);
    }

    function stored(AdvanceTerms.Terms memory terms) external returns (address) {
        return AdvanceTerms.stored(terms);
    }

    function loaded(address at) external view returns (AdvanceTerms.Terms memory) {
        return AdvanceTerms.loaded(at);
    }

    function advanceMoves(AdvanceState from, AdvanceState to) external pure returns (bool) {
        return Moves.advance(from, to);
    }

    function tripMoves(TripState from, TripState to) external pure returns (bool) {
        return Moves.trip(from, to);
    }

    function billMoves(WaybillState from, WaybillState to) external pure returns (bool) {
        return Moves.waybill(from, to);
    }
}
