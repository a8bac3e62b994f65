// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PartyId, TripId, WaybillId} from "./Ids.sol";

/// @notice One contract of the back-to-back chain. Signed by issuer and performer.
/// @param parent the waybill above, zero for a root; its performer is this issuer.
/// @param issuer who orders the carriage and owes the freight.
/// @param performer who carries (or has it carried) and is owed the freight.
/// @param consignee who receives the goods and signs the receipt; the same in the whole chain.
/// @param shippingNote keyed hash of the shipping note number; the same in the whole chain.
/// @param trip set on a leaf only: keyed hash of (shipping note number, serial number).
/// @param vehicle set on a leaf only: keyed hash of the plate.
/// @param freight fen owed when the whole quantity is accepted.
/// @param quantity thousandths of the unit named in the document (kg for tonnes); never zero.
/// @param loadFrom earliest loading, unix seconds; @param deliverBy latest delivery. Windows nest.
/// @param termDays days from the Beijing day of delivery to the due day of the freight.
/// @param plan set on a leaf only: hash of route, corridor, gates and windows the judge will use.
/// @param policy set on a leaf only: hash of the judge's policy file.
/// @param document salted hash of the contract text.
/// @param expires unix seconds after which the signatures can no longer be used to issue.
struct Waybill {
    WaybillId parent;
    PartyId issuer;
    PartyId performer;
    PartyId consignee;
    bytes32 shippingNote;
    TripId trip;
    bytes32 vehicle;
    uint128 freight;
    uint64 quantity;
    uint64 loadFrom;
    uint64 deliverBy;
    uint32 termDays;
    bytes32 plan;
    bytes32 policy;
    bytes32 document;
    uint64 expires;
    bytes32 salt;
}

/// @notice New terms for an issued waybill. Signed by issuer and performer, by the pledgee if pledged.
/// @param version the version these terms replace; the new one is one higher.
struct Amendment {
    WaybillId waybill;
    uint32 version;
    uint128 freight;
    uint64 quantity;
    uint64 loadFrom;
    uint64 deliverBy;
    bytes32 vehicle;
    bytes32 plan;
    bytes32 document;
    uint64 expires;
    bytes32 salt;
}

/// @notice Ends an issued waybill before loading. Signed by issuer and performer.
struct Cancellation {
    WaybillId waybill;
    uint32 version;
    uint64 expires;
    bytes32 salt;
}

/// @notice Lowers what is owed on a waybill. Signed by issuer and performer, by the pledgee if pledged.
struct CreditNote {
    WaybillId waybill;
    uint128 amount;
    bytes32 document;
    uint64 expires;
    bytes32 salt;
}
