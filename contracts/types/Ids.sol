// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev A party: chosen at random by who registers it, unique in PartyRegistry; 0 is nobody.
type PartyId is uint64;

/// @dev A waybill: the EIP-712 struct hash of its terms as first signed; 0 is none (the parent of a root).
type WaybillId is bytes32;

/// @dev A trip: keyed hash of (shipping note number, serial number); 0 is none.
type TripId is bytes32;

/// @dev An advance: the EIP-712 struct hash of its request.
type AdvanceId is bytes32;

/// @dev A credit line: the EIP-712 struct hash of its terms.
type LineId is bytes32;

using {samePartyId as ==, otherPartyId as !=} for PartyId global;
using {sameWaybillId as ==, otherWaybillId as !=} for WaybillId global;
using {sameTripId as ==, otherTripId as !=} for TripId global;
using {sameAdvanceId as ==, otherAdvanceId as !=} for AdvanceId global;

function samePartyId(PartyId a, PartyId b) pure returns (bool) {
    return PartyId.unwrap(a) == PartyId.unwrap(b);
}

function otherPartyId(PartyId a, PartyId b) pure returns (bool) {
    return PartyId.unwrap(a) != PartyId.unwrap(b);
}

function sameWaybillId(WaybillId a, WaybillId b) pure returns (bool) {
    return WaybillId.unwrap(a) == WaybillId.unwrap(b);
}

function otherWaybillId(WaybillId a, WaybillId b) pure returns (bool) {
    return WaybillId.unwrap(a) != WaybillId.unwrap(b);
}

function sameTripId(TripId a, TripId b) pure returns (bool) {
    return TripId.unwrap(a) == TripId.unwrap(b);
}

function otherTripId(TripId a, TripId b) pure returns (bool) {
    return TripId.unwrap(a) != TripId.unwrap(b);
}

function sameAdvanceId(AdvanceId a, AdvanceId b) pure returns (bool) {
    return AdvanceId.unwrap(a) == AdvanceId.unwrap(b);
}

function otherAdvanceId(AdvanceId a, AdvanceId b) pure returns (bool) {
    return AdvanceId.unwrap(a) != AdvanceId.unwrap(b);
}

PartyId constant NOBODY = PartyId.wrap(0);
WaybillId constant NO_WAYBILL = WaybillId.wrap(bytes32(0));
TripId constant NO_TRIP = TripId.wrap(bytes32(0));
AdvanceId constant NO_ADVANCE = AdvanceId.wrap(bytes32(0));
