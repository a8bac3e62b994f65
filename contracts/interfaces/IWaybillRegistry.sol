// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PartyId, TripId, WaybillId} from "../types/Ids.sol";
import {WaybillState} from "../types/States.sol";
import {Amendment, Cancellation, CreditNote, Waybill} from "../types/WaybillForms.sol";

/// @notice A waybill as it stands now.
/// @param declared true if the issuer of a root did not sign; it says so for ever.
/// @param tier 0 for a root. @param children live children. @param childFreight sum of their freight.
/// @param childQuantity sum of their quantities. @param deliveredQuantity contracted quantity of delivered leaves below.
/// @param accepted quantity accepted by the consignee below. @param paid fen received by the performer.
/// @param credited fen taken off by credit notes. @param pledgee lender, NOBODY if not pledged.
struct WaybillRecord {
    WaybillId parent;
    PartyId issuer;
    PartyId performer;
    PartyId consignee;
    PartyId pledgee;
    WaybillState state;
    bool declared;
    uint8 tier;
    uint16 children;
    uint32 version;
    uint32 termDays;
    uint64 quantity;
    uint64 loadFrom;
    uint64 deliverBy;
    uint64 issuedAt;
    uint64 deliveredAt;
    uint64 childQuantity;
    uint64 deliveredQuantity;
    uint64 accepted;
    uint128 freight;
    uint128 childFreight;
    uint128 paid;
    uint128 credited;
    TripId trip;
}

/// @notice What a delivery and an advance need to know of a trip's leaf.
struct LeafFacts {
    WaybillId waybill;
    WaybillState state;
    PartyId performer;
    PartyId consignee;
    uint32 version;
    uint64 quantity;
    uint64 loadFrom;
    uint64 deliverBy;
    uint64 issuedAt;
}

/// @title The back-to-back chain of waybills
/// @notice Promises A (closure), B (consent), J (states). Knows no loan and no token.
interface IWaybillRegistry {
    event WaybillIssued(
        WaybillId indexed waybill,
        WaybillId indexed parent,
        TripId indexed trip,
        PartyId issuer,
        PartyId performer,
        PartyId consignee,
        uint128 freight,
        uint64 quantity,
        uint8 tier,
        bool declared
    );
    event WaybillRefused(uint256 indexed index, WaybillId indexed waybill, bytes reason);
    event WaybillAmended(
        WaybillId indexed waybill,
        uint32 version,
        uint128 freight,
        uint64 quantity,
        bytes32 plan,
        bytes32 vehicle
    );
    event WaybillCancelled(WaybillId indexed waybill);
    event WaybillCredited(WaybillId indexed waybill, uint128 amount, uint128 credited);
    event WaybillMoved(WaybillId indexed waybill, WaybillState from, WaybillState to);
    event WaybillPaid(WaybillId indexed waybill, uint128 amount, uint128 paid);
    event WaybillPledged(WaybillId indexed waybill, PartyId indexed pledgee);
    event WaybillReleased(WaybillId indexed waybill, PartyId indexed pledgee);

    error WaybillUnknown(WaybillId waybill);
    error WaybillAlreadyIssued(WaybillId waybill);
    error WaybillUnexpectedState(WaybillId waybill, WaybillState current, WaybillState wanted);
    error WaybillFieldInvalid(bytes32 field);
    error WaybillIssuerNotParentPerformer(WaybillId parent, PartyId performer, PartyId issuer);
    error WaybillPartyTwice(WaybillId ancestor, PartyId party);
    error WaybillFreightExceedsParent(WaybillId parent, uint256 sum, uint256 freight);
    error WaybillQuantityExceedsParent(WaybillId parent, uint256 sum, uint256 quantity);
    error WaybillWindowOutsideParent(WaybillId parent, uint64 loadFrom, uint64 deliverBy);
    error WaybillConsigneeDiffers(WaybillId parent, PartyId expected, PartyId given);
    error WaybillShippingNoteDiffers(WaybillId root, bytes32 expected, bytes32 given);
    error WaybillParentIsLeaf(WaybillId parent, TripId trip);
    error WaybillTripTaken(TripId trip, WaybillId leaf);
    error WaybillTooDeep(uint8 tier, uint8 most);
    error WaybillVersionStale(WaybillId waybill, uint32 current, uint32 given);
    error WaybillFormExpired(uint64 expires, uint64 nowAt);
    error WaybillFormUsed(bytes32 digest);
    error WaybillChildrenExceed(WaybillId waybill, uint256 children, uint256 wanted);
    error WaybillCallerNotAllowed(address caller);
    error WaybillPledgedElsewhere(WaybillId waybill, PartyId pledgee);
    error WaybillOverpaid(WaybillId waybill, uint256 owed, uint256 amount);
    error WaybillSignatureMissing(WaybillId waybill, PartyId party);

    /// @notice Records a waybill that both sides have signed; closes it with its parent (promise A).
    /// @dev Assumes nothing of the consignee: he is bound by nothing until he signs a receipt.
    /// @custom:access Anyone; authority comes from the signatures.
    /// @param issuerSignature may be empty on a root only: then the root is declared and says so for ever.
    function issue(
        Waybill calldata form,
        bytes calldata issuerSignature,
        bytes calldata performerSignature
    ) external returns (WaybillId waybill);
    /// @notice Issues many; parents may stand before their children in the same batch.
    /// @return issued how many were recorded.
    /// Warning: with too little gas the rest of a batch is refused; send it again.
    /// @custom:access Anyone; authority comes from the signatures.
    /// @param allOrNothing true: one bad form reverts the batch; false: it is refused with WaybillRefused, the rest stand.
    function issueBatch(
        Waybill[] calldata forms,
        bytes[] calldata issuerSignatures,
        bytes[] calldata performerSignatures,
        bool allOrNothing
    ) external returns (uint256 issued);
    /// @notice New terms before loading; the version rises by one and everything signed for the old one is void.
    /// @dev A waybill with children keeps its window at least as wide, and holds what they take.
    /// @custom:access Anyone; authority comes from the signatures.
    function amend(
        Amendment calldata form,
        bytes calldata issuerSignature,
        bytes calldata performerSignature,
        bytes calldata pledgeeSignature
    ) external;
    /// @notice Ends a waybill that has no live child, no pledge and no truck on the road.
    /// @dev The issuer of a declared root never signed: the performer alone may end, amend and credit it.
    /// @custom:access Anyone; authority comes from the signatures.
    function cancel(
        Cancellation calldata form,
        bytes calldata issuerSignature,
        bytes calldata performerSignature
    ) external;
    /// @notice Lowers what is owed; at most what is neither paid nor credited of the freight.
    /// @custom:access Anyone; authority comes from the signatures.
    function credit(
        CreditNote calldata form,
        bytes calldata issuerSignature,
        bytes calldata performerSignature,
        bytes calldata pledgeeSignature
    ) external;

    // For the contracts above, fixed at construction.
    /// @notice The truck of a leaf is loaded: the leaf and what stands above it is in transit.
    /// @custom:access DeliveryRegistry only.
    function recordLoading(TripId trip) external;
    /// @notice Adds a delivered leaf to every waybill above it.
    /// @custom:access DeliveryRegistry only.
    function recordDelivery(TripId trip, uint64 accepted, uint64 at) external;
    /// @notice Cancels the leaf of a void trip; its parent gets its share back.
    /// @custom:access DeliveryRegistry only.
    function recordVoid(TripId trip) external;
    /// @notice Freight received by the performer; never more than is outstanding.
    /// @custom:access FreightAdvance and FreightSettlement only.
    function recordPaid(WaybillId waybill, uint128 amount) external;
    /// @notice Pledges to a lender, for one advance more; another lender is refused while it is pledged.
    /// @custom:access FreightAdvance only.
    function pledge(WaybillId waybill, PartyId pledgee) external;
    /// @notice The last advance on the waybill has ended: it is pledged no more.
    /// @custom:access FreightAdvance only.
    function release(WaybillId waybill, PartyId pledgee) external;

    /// @notice Deepest tier of a chain; a root has tier 0.
    function MAX_TIER() external view returns (uint8);
    /// @notice Most fen, and most thousandths of a unit, of one waybill: what JSON carries exactly.
    function MAX_AMOUNT() external view returns (uint64);
    /// @notice A waybill as it stands now; all zero if there is none.
    function get(WaybillId waybill) external view returns (WaybillRecord memory);
    /// @notice The leaf that names a trip; zero if none.
    function leafOf(TripId trip) external view returns (WaybillId);
    /// @notice The leaf of a trip in short; all zero if there is none.
    function leafFacts(TripId trip) external view returns (LeafFacts memory);
    /// @notice A waybill as security for what is advanced on a trip below it.
    /// @return debtor its issuer.
    /// @return creditor its performer.
    /// @return declared true if the debtor never signed.
    /// @return leafVersion version of the trip's leaf, 0 if that is not below the waybill;
    /// @return share floor(freight x the leaf's quantity / quantity), at most what is neither paid nor credited.
    function receivableOf(WaybillId waybill, TripId trip)
        external
        view
        returns (PartyId debtor, PartyId creditor, bool declared, uint32 leafVersion, uint128 share);
    /// @notice What a party may at most be paid for a trip as performer of a waybill between the trip's leaf and, not
    /// included, one above it; 0 if he is not that. Computed as the share in receivableOf.
    function payableTo(PartyId party, WaybillId waybill, TripId trip, WaybillId above)
        external
        view
        returns (uint128);
    /// @notice Version, vehicle, plan and policy the trip's leaf stands at now.
    function tripTerms(TripId trip)
        external
        view
        returns (uint32 version, bytes32 vehicle, bytes32 plan, bytes32 policy);
    /// @notice The part of tripTerms that a loading and a receipt name; all zero if no leaf names the trip.
    function vehicleOf(TripId trip) external view returns (uint32 version, bytes32 vehicle);
    /// @notice floor(freight x accepted / quantity) - credited - paid, never below zero.
    function outstanding(WaybillId waybill) external view returns (uint128);
    /// @notice True if the ancestor stands strictly above the waybill.
    function isBelow(WaybillId waybill, WaybillId ancestor) external view returns (bool);
    /// @notice Whether a party stands on the waybill or above it.
    /// @return true if the party is issuer, performer or consignee of the waybill or of any above it.
    function isPartyOfChain(WaybillId waybill, PartyId party) external view returns (bool);
    /// @notice The id of a waybill of these terms: its EIP-712 struct hash.
    function hashWaybill(Waybill calldata form) external pure returns (WaybillId);
}
