// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IPartyRegistry} from "./interfaces/IPartyRegistry.sol";
import {IWaybillRegistry, LeafFacts, WaybillRecord} from "./interfaces/IWaybillRegistry.sol";
import {WaybillHash} from "./libraries/WaybillHash.sol";
import {NO_TRIP, NO_WAYBILL, NOBODY, PartyId, TripId, WaybillId} from "./types/Ids.sol";
import {WaybillState} from "./types/States.sol";
import {Amendment, Cancellation, CreditNote, Waybill} from "./types/WaybillForms.sol";

/// @title The back-to-back chain of waybills
/// @notice Promises A (closure), B (consent) and J (states). The manual is IWaybillRegistry.
contract WaybillRegistry is IWaybillRegistry, EIP712 {
    using WaybillHash for *;

    // -- what is stored ---------------------------------------------------------------------------

    /// @dev Packed by slot; a leaf costs eight slots, a root four. Amounts and quantities stay below 2^53 (MAX_AMOUNT),
    /// instants below 2^32 (the year 2106).
    struct Stored {
        WaybillId parent;
        // slot: who
        PartyId issuer;
        PartyId performer;
        PartyId consignee;
        PartyId pledgee;
        // slot: standing
        WaybillState state;
        bool declared;
        uint8 tier;
        uint16 children;
        uint16 pledges;
        uint16 termDays;
        uint24 policy;
        uint32 version;
        uint32 loadFrom;
        uint32 deliverBy;
        uint32 issuedAt;
        uint32 deliveredAt;
        // slot: what was agreed and what came of it
        uint64 freight;
        uint64 quantity;
        uint64 accepted;
        uint64 paid;
        // slot: written only when there are children or credit notes
        uint64 credited;
        uint64 childFreight;
        uint64 childQuantity;
        uint64 deliveredBelow; // contracted quantity of delivered leaves; a leaf is delivered at once
        // leaf only
        TripId trip;
        bytes32 vehicle;
        bytes32 plan;
    }

    /// @inheritdoc IWaybillRegistry
    uint8 public constant MAX_TIER = 8;
    /// @inheritdoc IWaybillRegistry
    uint64 public constant MAX_AMOUNT = 2 ** 53 - 1;

    uint32 private constant MAX_TERM_DAYS = 3650;

    IPartyRegistry private immutable PARTIES;
    address private immutable DELIVERIES;
    address private immutable ADVANCE;
    address private immutable SETTLEMENT;

    mapping(WaybillId waybill => Stored) private _waybills;
    mapping(TripId trip => WaybillId leaf) private _leaves;
    /// @dev Of roots only; every waybill below has the same.
    mapping(WaybillId root => bytes32) private _shippingNotes;
    /// @dev Few policies serve many waybills: a waybill keeps a number, the hash stands here once. 0 is none.
    mapping(bytes32 policy => uint24) private _policyNumbers;
    bytes32[] private _policies = [bytes32(0)];
    mapping(bytes32 digest => bool) private _used;

    constructor(IPartyRegistry parties, address deliveries, address advance, address settlement)
        EIP712("Yundan", "1")
    {
        PARTIES = parties;
        DELIVERIES = deliveries;
        ADVANCE = advance;
        SETTLEMENT = settlement;
    }

    modifier only(address caller) {
        if (msg.sender != caller) revert WaybillCallerNotAllowed(msg.sender);
        _;
    }

    // -- issue ------------------------------------------------------------------------------------

    /// @inheritdoc IWaybillRegistry
    function issue(
        Waybill calldata form,
        bytes calldata issuerSignature,
        bytes calldata performerSignature
    ) external returns (WaybillId waybill) {
        bytes32 structHash = form.hash();
        waybill = WaybillId.wrap(structHash);
        // The id is the hash of the form, so a form serves once: no record of used digests is needed.
        if (_waybills[waybill].state != WaybillState.None) revert WaybillAlreadyIssued(waybill);
        _requireFields(form);

        bool declared = issuerSignature.length == 0;
        uint8 tier = 0;
        if (form.parent == NO_WAYBILL) {
            _shippingNotes[waybill] = form.shippingNote;
        } else {
            if (declared) revert WaybillSignatureMissing(waybill, form.issuer);
            tier = _joinParent(form);
        }
        bytes32 digest = _hashTypedDataV4(structHash);
        if (!declared) PARTIES.requireSignature(form.issuer, digest, issuerSignature);
        PARTIES.requireSignature(form.performer, digest, performerSignature);

        _store(waybill, form, tier, declared);
        _announce(waybill, form, tier, declared);
    }

    /// @inheritdoc IWaybillRegistry
    function issueBatch(
        Waybill[] calldata forms,
        bytes[] calldata issuerSignatures,
        bytes[] calldata performerSignatures,
        bool allOrNothing
    ) external returns (uint256 issued) {
        if (forms.length != issuerSignatures.length || forms.length != performerSignatures.length) {
            revert WaybillFieldInvalid("signatures");
        }
        for (uint256 i = 0; i < forms.length; i++) {
            // A call to itself has no authority that the caller has not: everybody may issue what is signed.
            try this.issue(forms[i], issuerSignatures[i], performerSignatures[i]) {
                issued++;
            } catch (bytes memory reason) {
                if (allOrNothing) Address.verifyCallResult(false, reason); // reverts with the reason
                emit WaybillRefused(i, WaybillId.wrap(forms[i].hash()), reason);
            }
        }
    }

    /// @dev Everything that can be said of a form without looking at others. The consignee need not be enrolled yet:
    /// nothing binds him until he signs a receipt.
    function _requireFields(Waybill calldata form) private view {
        if (block.timestamp > form.expires) {
            revert WaybillFormExpired(form.expires, uint64(block.timestamp));
        }
        if (form.issuer == NOBODY) revert WaybillFieldInvalid("issuer");
        if (form.performer == NOBODY || form.performer == form.issuer) {
            revert WaybillFieldInvalid("performer");
        }
        if (form.consignee == NOBODY || form.consignee == form.performer) {
            revert WaybillFieldInvalid("consignee");
        }
        if (form.shippingNote == 0) revert WaybillFieldInvalid("shippingNote");
        if (form.termDays > MAX_TERM_DAYS) revert WaybillFieldInvalid("termDays");
        _requireTerms(form.freight, form.quantity, form.loadFrom, form.deliverBy);

        bool leaf = form.trip != NO_TRIP;
        if ((form.vehicle != 0) != leaf) revert WaybillFieldInvalid("vehicle");
        if ((form.plan != 0) != leaf) revert WaybillFieldInvalid("plan");
        if ((form.policy != 0) != leaf) revert WaybillFieldInvalid("policy");
        if (leaf && _leaves[form.trip] != NO_WAYBILL) {
            revert WaybillTripTaken(form.trip, _leaves[form.trip]);
        }
    }

    function _requireTerms(uint128 freight, uint64 quantity, uint64 loadFrom, uint64 deliverBy)
        private
        pure
    {
        if (freight == 0 || freight > MAX_AMOUNT) revert WaybillFieldInvalid("freight");
        if (quantity == 0 || quantity > MAX_AMOUNT) revert WaybillFieldInvalid("quantity");
        if (deliverBy > type(uint32).max) revert WaybillFieldInvalid("deliverBy");
        if (loadFrom >= deliverBy) revert WaybillFieldInvalid("loadFrom");
    }

    /// @dev Promise A. Takes the child's freight and quantity from what the parent has left.
    /// @return tier of the child.
    function _joinParent(Waybill calldata form) private returns (uint8 tier) {
        Stored storage parent = _waybills[form.parent];
        if (parent.state == WaybillState.None) revert WaybillUnknown(form.parent);
        if (parent.state != WaybillState.Issued && parent.state != WaybillState.InTransit) {
            revert WaybillUnexpectedState(form.parent, parent.state, WaybillState.Issued);
        }
        if (parent.trip != NO_TRIP) revert WaybillParentIsLeaf(form.parent, parent.trip);
        if (parent.performer != form.issuer) {
            revert WaybillIssuerNotParentPerformer(form.parent, parent.performer, form.issuer);
        }
        if (parent.consignee != form.consignee) {
            revert WaybillConsigneeDiffers(form.parent, parent.consignee, form.consignee);
        }
        if (form.loadFrom < parent.loadFrom || form.deliverBy > parent.deliverBy) {
            revert WaybillWindowOutsideParent(form.parent, form.loadFrom, form.deliverBy);
        }
        tier = parent.tier + 1;
        if (tier > MAX_TIER) revert WaybillTooDeep(tier, MAX_TIER);

        _addToParent(form.parent, 0, uint64(form.freight), 0, form.quantity);
        parent.children++;
        _requireNewInChain(form);
    }

    /// @dev Walks to the root: the performer stands nowhere above, the shipping note is the root's. The performer of each
    /// ancestor but the lowest is the issuer of the next, and the lowest's is the issuer of the form itself.
    function _requireNewInChain(Waybill calldata form) private view {
        WaybillId at = form.parent;
        while (true) {
            Stored storage above = _waybills[at];
            if (above.issuer == form.performer) revert WaybillPartyTwice(at, form.performer);
            WaybillId next = above.parent;
            if (next == NO_WAYBILL) break;
            at = next;
        }
        bytes32 note = _shippingNotes[at];
        if (note != form.shippingNote) {
            revert WaybillShippingNoteDiffers(at, note, form.shippingNote);
        }
    }

    /// @dev Replaces a child's share of its parent's freight and quantity by another.
    function _addToParent(
        WaybillId parentId,
        uint64 oldFreight,
        uint64 freight,
        uint64 oldQuantity,
        uint64 quantity
    ) private {
        Stored storage parent = _waybills[parentId];
        uint256 freightSum = uint256(parent.childFreight) - oldFreight + freight;
        if (freightSum > parent.freight) {
            revert WaybillFreightExceedsParent(parentId, freightSum, parent.freight);
        }
        uint256 quantitySum = uint256(parent.childQuantity) - oldQuantity + quantity;
        if (quantitySum > parent.quantity) {
            revert WaybillQuantityExceedsParent(parentId, quantitySum, parent.quantity);
        }
        parent.childFreight = uint64(freightSum);
        parent.childQuantity = uint64(quantitySum);
    }

    function _store(WaybillId waybill, Waybill calldata form, uint8 tier, bool declared) private {
        Stored storage w = _waybills[waybill];
        w.parent = form.parent;
        w.issuer = form.issuer;
        w.performer = form.performer;
        w.consignee = form.consignee;
        w.state = WaybillState.Issued;
        w.declared = declared;
        w.tier = tier;
        w.termDays = uint16(form.termDays);
        w.version = 1;
        w.loadFrom = uint32(form.loadFrom);
        w.deliverBy = uint32(form.deliverBy);
        w.issuedAt = uint32(block.timestamp);
        w.freight = uint64(form.freight);
        w.quantity = form.quantity;
        if (form.trip != NO_TRIP) {
            w.policy = _numberOf(form.policy);
            w.trip = form.trip;
            w.vehicle = form.vehicle;
            w.plan = form.plan;
            _leaves[form.trip] = waybill;
        }
    }

    function _announce(WaybillId waybill, Waybill calldata form, uint8 tier, bool declared)
        private
    {
        emit WaybillIssued(
            waybill,
            form.parent,
            form.trip,
            form.issuer,
            form.performer,
            form.consignee,
            form.freight,
            form.quantity,
            tier,
            declared
        );
    }

    function _numberOf(bytes32 policy) private returns (uint24 number) {
        number = _policyNumbers[policy];
        if (number == 0) {
            if (_policies.length > type(uint24).max) revert WaybillFieldInvalid("policy");
            number = uint24(_policies.length);
            _policyNumbers[policy] = number;
            _policies.push(policy);
        }
    }

    // -- change -----------------------------------------------------------------------------------

    /// @inheritdoc IWaybillRegistry
    function amend(
        Amendment calldata form,
        bytes calldata issuerSignature,
        bytes calldata performerSignature,
        bytes calldata pledgeeSignature
    ) external {
        Stored storage w = _getIn(form.waybill, WaybillState.Issued);
        _requireInTime(form.expires);
        _requireVersion(form.waybill, w.version, form.version);
        _requireTerms(form.freight, form.quantity, form.loadFrom, form.deliverBy);
        bool leaf = w.trip != NO_TRIP;
        if ((form.vehicle != 0) != leaf) revert WaybillFieldInvalid("vehicle");
        if ((form.plan != 0) != leaf) revert WaybillFieldInvalid("plan");
        if (w.childFreight > form.freight) {
            revert WaybillChildrenExceed(form.waybill, w.childFreight, form.freight);
        }
        if (w.childQuantity > form.quantity) {
            revert WaybillChildrenExceed(form.waybill, w.childQuantity, form.quantity);
        }
        _requireAmendedWindow(form, w);
        bytes32 digest = _hashTypedDataV4(form.hash());
        _requireBoth(w, digest, issuerSignature, performerSignature);
        _requirePledgee(w, digest, pledgeeSignature);

        if (w.parent != NO_WAYBILL) {
            _addToParent(w.parent, w.freight, uint64(form.freight), w.quantity, form.quantity);
        }
        w.version = form.version + 1;
        w.freight = uint64(form.freight);
        w.quantity = form.quantity;
        w.loadFrom = uint32(form.loadFrom);
        w.deliverBy = uint32(form.deliverBy);
        if (leaf) {
            w.vehicle = form.vehicle;
            w.plan = form.plan;
        }
        emit WaybillAmended(
            form.waybill, form.version + 1, form.freight, form.quantity, form.plan, form.vehicle
        );
    }

    /// @dev The new window lies inside the parent's and, where there are children, holds the old one.
    function _requireAmendedWindow(Amendment calldata form, Stored storage w) private view {
        if (w.parent != NO_WAYBILL) {
            Stored storage parent = _waybills[w.parent];
            if (form.loadFrom < parent.loadFrom || form.deliverBy > parent.deliverBy) {
                revert WaybillWindowOutsideParent(w.parent, form.loadFrom, form.deliverBy);
            }
        }
        if (w.children != 0 && (form.loadFrom > w.loadFrom || form.deliverBy < w.deliverBy)) {
            revert WaybillWindowOutsideParent(form.waybill, form.loadFrom, form.deliverBy);
        }
    }

    /// @inheritdoc IWaybillRegistry
    function cancel(
        Cancellation calldata form,
        bytes calldata issuerSignature,
        bytes calldata performerSignature
    ) external {
        Stored storage w = _get(form.waybill);
        // In transit, a waybill may end when every trip below is void; a leaf in transit is on the road.
        bool idle = w.state == WaybillState.InTransit && w.trip == NO_TRIP;
        if (w.state != WaybillState.Issued && !idle) {
            revert WaybillUnexpectedState(form.waybill, w.state, WaybillState.Issued);
        }
        _requireInTime(form.expires);
        _requireVersion(form.waybill, w.version, form.version);
        if (w.children != 0) revert WaybillChildrenExceed(form.waybill, w.children, 0);
        if (w.pledges != 0) revert WaybillPledgedElsewhere(form.waybill, w.pledgee);
        _requireBoth(w, _hashTypedDataV4(form.hash()), issuerSignature, performerSignature);
        _cancel(form.waybill, w);
    }

    /// @inheritdoc IWaybillRegistry
    function credit(
        CreditNote calldata form,
        bytes calldata issuerSignature,
        bytes calldata performerSignature,
        bytes calldata pledgeeSignature
    ) external {
        Stored storage w = _get(form.waybill);
        if (w.state == WaybillState.Paid || w.state == WaybillState.Cancelled) {
            revert WaybillUnexpectedState(form.waybill, w.state, WaybillState.Delivered);
        }
        _requireInTime(form.expires);
        if (form.amount == 0) revert WaybillFieldInvalid("amount");
        uint256 open = _unpaid(w);
        if (form.amount > open) revert WaybillOverpaid(form.waybill, open, form.amount);
        bytes32 digest = _hashTypedDataV4(form.hash());
        if (_used[digest]) revert WaybillFormUsed(digest);
        _used[digest] = true;
        _requireBoth(w, digest, issuerSignature, performerSignature);
        _requirePledgee(w, digest, pledgeeSignature);

        w.credited += uint64(form.amount);
        emit WaybillCredited(form.waybill, form.amount, w.credited);
        _closeIfNothingOwed(form.waybill, w);
    }

    // -- what the contracts above record ----------------------------------------------------------

    /// @inheritdoc IWaybillRegistry
    function recordLoading(TripId trip) external only(DELIVERIES) {
        WaybillId at = _leaves[trip];
        Stored storage leaf = _getIn(at, WaybillState.Issued);
        _move(at, leaf, WaybillState.InTransit);
        // The waybills above may have left Issued with an earlier truck.
        for (at = leaf.parent; at != NO_WAYBILL; at = _waybills[at].parent) {
            Stored storage above = _waybills[at];
            if (above.state != WaybillState.Issued) break;
            _move(at, above, WaybillState.InTransit);
        }
    }

    /// @inheritdoc IWaybillRegistry
    function recordDelivery(TripId trip, uint64 accepted, uint64 at) external only(DELIVERIES) {
        WaybillId id = _leaves[trip];
        Stored storage leaf = _getIn(id, WaybillState.InTransit);
        uint64 quantity = leaf.quantity;
        while (id != NO_WAYBILL) {
            Stored storage w = _waybills[id];
            w.accepted += accepted;
            if (w.trip == NO_TRIP) w.deliveredBelow += quantity;
            if (w.trip != NO_TRIP || w.deliveredBelow == w.quantity) {
                w.deliveredAt = uint32(at);
                _move(id, w, WaybillState.Delivered);
                _closeIfNothingOwed(id, w);
            }
            id = w.parent;
        }
    }

    /// @inheritdoc IWaybillRegistry
    function recordVoid(TripId trip) external only(DELIVERIES) {
        WaybillId id = _leaves[trip];
        Stored storage leaf = _waybills[id];
        // A leaf cancelled by its parties has left its parent already.
        if (leaf.state == WaybillState.Issued || leaf.state == WaybillState.InTransit) {
            _cancel(id, leaf);
        }
    }

    /// @inheritdoc IWaybillRegistry
    function recordPaid(WaybillId waybill, uint128 amount) external {
        if (msg.sender != ADVANCE && msg.sender != SETTLEMENT) {
            revert WaybillCallerNotAllowed(msg.sender);
        }
        Stored storage w = _get(waybill);
        uint256 owed = _outstanding(w);
        if (amount > owed) revert WaybillOverpaid(waybill, owed, amount);
        w.paid += uint64(amount);
        emit WaybillPaid(waybill, amount, w.paid);
        _closeIfNothingOwed(waybill, w);
    }

    /// @inheritdoc IWaybillRegistry
    function pledge(WaybillId waybill, PartyId pledgee) external only(ADVANCE) {
        Stored storage w = _get(waybill);
        if (w.pledges != 0 && w.pledgee != pledgee) {
            revert WaybillPledgedElsewhere(waybill, w.pledgee);
        }
        w.pledgee = pledgee;
        w.pledges++;
        emit WaybillPledged(waybill, pledgee);
    }

    /// @inheritdoc IWaybillRegistry
    function release(WaybillId waybill, PartyId pledgee) external only(ADVANCE) {
        Stored storage w = _get(waybill);
        if (w.pledges == 0 || w.pledgee != pledgee) {
            revert WaybillPledgedElsewhere(waybill, w.pledgee);
        }
        w.pledges--;
        if (w.pledges == 0) w.pledgee = NOBODY;
        emit WaybillReleased(waybill, pledgee);
    }

    // -- reading ----------------------------------------------------------------------------------

    /// @inheritdoc IWaybillRegistry
    function get(WaybillId waybill) external view returns (WaybillRecord memory r) {
        Stored storage w = _waybills[waybill];
        r.parent = w.parent;
        r.issuer = w.issuer;
        r.performer = w.performer;
        r.consignee = w.consignee;
        r.pledgee = w.pledgee;
        r.state = w.state;
        r.declared = w.declared;
        r.tier = w.tier;
        r.children = w.children;
        r.version = w.version;
        r.termDays = w.termDays;
        r.quantity = w.quantity;
        r.loadFrom = w.loadFrom;
        r.deliverBy = w.deliverBy;
        r.issuedAt = w.issuedAt;
        r.deliveredAt = w.deliveredAt;
        r.childQuantity = w.childQuantity;
        r.deliveredQuantity = w.deliveredAt != 0 ? w.quantity : w.deliveredBelow;
        r.accepted = w.accepted;
        r.freight = w.freight;
        r.childFreight = w.childFreight;
        r.paid = w.paid;
        r.credited = w.credited;
        r.trip = w.trip;
    }

    /// @inheritdoc IWaybillRegistry
    function leafOf(TripId trip) external view returns (WaybillId) {
        return _leaves[trip];
    }

    /// @inheritdoc IWaybillRegistry
    function leafFacts(TripId trip) external view returns (LeafFacts memory) {
        WaybillId id = _leaves[trip];
        Stored storage leaf = _waybills[id];
        return LeafFacts({
            waybill: id,
            state: leaf.state,
            performer: leaf.performer,
            consignee: leaf.consignee,
            version: leaf.version,
            quantity: leaf.quantity,
            loadFrom: leaf.loadFrom,
            deliverBy: leaf.deliverBy,
            issuedAt: leaf.issuedAt
        });
    }

    /// @inheritdoc IWaybillRegistry
    function receivableOf(WaybillId waybill, TripId trip)
        external
        view
        returns (PartyId debtor, PartyId creditor, bool declared, uint32 leafVersion, uint128 share)
    {
        Stored storage w = _waybills[waybill];
        (debtor, creditor, declared) = (w.issuer, w.performer, w.declared);
        WaybillId leaf = _leaves[trip];
        if (isBelow(leaf, waybill)) {
            leafVersion = _waybills[leaf].version;
            share = _shareDown(w, _waybills[leaf].quantity);
        }
    }

    /// @inheritdoc IWaybillRegistry
    function payableTo(PartyId party, WaybillId waybill, TripId trip, WaybillId above)
        external
        view
        returns (uint128)
    {
        Stored storage w = _waybills[waybill];
        WaybillId leaf = _leaves[trip];
        bool onTheWay = (waybill == leaf || isBelow(leaf, waybill)) && isBelow(waybill, above);
        return onTheWay && w.performer == party ? _shareDown(w, _waybills[leaf].quantity) : 0;
    }

    /// @inheritdoc IWaybillRegistry
    function tripTerms(TripId trip)
        external
        view
        returns (uint32 version, bytes32 vehicle, bytes32 plan, bytes32 policy)
    {
        Stored storage leaf = _waybills[_leaves[trip]];
        return (leaf.version, leaf.vehicle, leaf.plan, _policies[leaf.policy]);
    }

    /// @inheritdoc IWaybillRegistry
    function outstanding(WaybillId waybill) external view returns (uint128) {
        return uint128(_outstanding(_waybills[waybill]));
    }

    /// @inheritdoc IWaybillRegistry
    function isBelow(WaybillId waybill, WaybillId ancestor) public view returns (bool) {
        if (ancestor == NO_WAYBILL) return false;
        WaybillId at = _waybills[waybill].parent;
        while (at != NO_WAYBILL) {
            if (at == ancestor) return true;
            at = _waybills[at].parent;
        }
        return false;
    }

    /// @inheritdoc IWaybillRegistry
    function isPartyOfChain(WaybillId waybill, PartyId party) external view returns (bool) {
        for (WaybillId at = waybill; at != NO_WAYBILL; at = _waybills[at].parent) {
            Stored storage w = _waybills[at];
            if (w.issuer == party || w.performer == party || w.consignee == party) return true;
        }
        return false;
    }

    /// @inheritdoc IWaybillRegistry
    function hashWaybill(Waybill calldata form) external pure returns (WaybillId) {
        return WaybillId.wrap(form.hash());
    }

    // -- inside -----------------------------------------------------------------------------------

    /// @dev The only function that moves a state.
    function _move(WaybillId waybill, Stored storage w, WaybillState to) private {
        WaybillState from = w.state;
        w.state = to;
        emit WaybillMoved(waybill, from, to);
    }

    function _cancel(WaybillId waybill, Stored storage w) private {
        if (w.parent != NO_WAYBILL) {
            // What is cancelled has no live child and delivered nothing: the parent gets back all of it.
            _addToParent(w.parent, w.freight, 0, w.quantity, 0);
            _waybills[w.parent].children--;
        }
        _move(waybill, w, WaybillState.Cancelled);
        emit WaybillCancelled(waybill);
    }

    function _closeIfNothingOwed(WaybillId waybill, Stored storage w) private {
        if (w.state == WaybillState.Delivered && _outstanding(w) == 0) {
            _move(waybill, w, WaybillState.Paid);
        }
    }

    function _get(WaybillId waybill) private view returns (Stored storage w) {
        w = _waybills[waybill];
        if (w.state == WaybillState.None) revert WaybillUnknown(waybill);
    }

    function _getIn(WaybillId waybill, WaybillState wanted)
        private
        view
        returns (Stored storage w)
    {
        w = _get(waybill);
        if (w.state != wanted) revert WaybillUnexpectedState(waybill, w.state, wanted);
    }

    /// @dev A quantity's part of the freight, at most what is neither paid nor credited.
    function _shareDown(Stored storage w, uint64 quantity) private view returns (uint128) {
        return uint128(Math.min(uint256(w.freight) * quantity / w.quantity, _unpaid(w)));
    }

    /// @dev The freight, delivered or not, that is neither paid nor credited.
    function _unpaid(Stored storage w) private view returns (uint256) {
        return w.freight - Math.min(w.freight, uint256(w.paid) + w.credited);
    }

    function _earned(Stored storage w) private view returns (uint64) {
        return uint64(uint256(w.freight) * w.accepted / w.quantity);
    }

    function _outstanding(Stored storage w) private view returns (uint256) {
        if (w.quantity == 0) return 0;
        uint256 earned = _earned(w);
        return earned - Math.min(earned, uint256(w.paid) + w.credited);
    }

    /// @dev The issuer of a declared root never signed it and is not bound by it, so the performer alone may change it.
    function _requireBoth(
        Stored storage w,
        bytes32 digest,
        bytes calldata issuerSignature,
        bytes calldata performerSignature
    ) private view {
        if (!w.declared || issuerSignature.length != 0) {
            PARTIES.requireSignature(w.issuer, digest, issuerSignature);
        }
        PARTIES.requireSignature(w.performer, digest, performerSignature);
    }

    function _requirePledgee(Stored storage w, bytes32 digest, bytes calldata signature)
        private
        view
    {
        if (w.pledges != 0) PARTIES.requireSignature(w.pledgee, digest, signature);
    }

    function _requireInTime(uint64 expires) private view {
        if (block.timestamp > expires) revert WaybillFormExpired(expires, uint64(block.timestamp));
    }

    function _requireVersion(WaybillId waybill, uint32 current, uint32 given) private pure {
        if (current != given) revert WaybillVersionStale(waybill, current, given);
    }
}
