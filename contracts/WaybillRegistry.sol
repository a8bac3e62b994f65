// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IPartyRegistry} from "./interfaces/IPartyRegistry.sol";
import {IWaybillRegistry, LeafFacts, WaybillRecord} from "./interfaces/IWaybillRegistry.sol";
import {Moves} from "./libraries/Moves.sol";
import {WaybillHash} from "./libraries/WaybillHash.sol";
import {NO_TRIP, NO_WAYBILL, NOBODY, PartyId, TripId, WaybillId} from "./types/Ids.sol";
import {WaybillState} from "./types/States.sol";
import {Amendment, Cancellation, CreditNote, Waybill} from "./types/WaybillForms.sol";

/// @title The back-to-back chain of waybills
/// @notice Promises A (closure), B (consent) and J (states). The manual is IWaybillRegistry.
contract WaybillRegistry is IWaybillRegistry, EIP712 {
    using WaybillHash for *;

    // -- what is stored ---------------------------------------------------------------------------

    /// @dev Packed by slot: three for a waybill, three more for a leaf, one for what moves once its truck is loaded. Amounts and
    /// quantities stay below 2^53 (MAX_AMOUNT), instants below 2^32 (the year 2106).
    struct Stored {
        // slot: the waybill above; of a root its issuer, its consignee (64 bits higher) and whether it is declared (bit 128)
        bytes32 above;
        // slot: whose it is, and what hangs below
        PartyId performer;
        PartyId pledgee;
        uint56 childFreight;
        uint56 childQuantity;
        uint16 children; // a leaf has none: there the number of its policy stands
        // slot: what was agreed
        uint56 freight;
        uint56 quantity;
        uint16 termDays;
        uint8 tier;
        bool leaf;
        uint16 version; // 0 where there is no waybill
        uint32 loadFrom;
        uint32 deliverBy;
        uint32 issuedAt;
        // slot: what came of it; all zero while issued
        WaybillState moved; // None while issued
        uint56 covered; // paid and credited
        uint56 accepted;
        uint56 deliveredBelow; // contracted quantity of delivered leaves; a leaf is delivered at once
        uint32 deliveredAt;
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
    bytes32 private constant DECLARED = bytes32(uint256(1) << 128);

    IPartyRegistry private immutable PARTIES;
    address private immutable DELIVERIES;
    address private immutable ADVANCE;
    address private immutable SETTLEMENT;

    mapping(WaybillId waybill => Stored) private _waybills;
    mapping(TripId trip => WaybillId leaf) private _leaves;
    /// @dev Of roots only; every waybill below has the same.
    mapping(WaybillId root => bytes32) private _shippingNotes;
    /// @dev Few policies serve many waybills: a waybill keeps a number, the hash stands here once. 0 is none.
    mapping(bytes32 policy => uint16) private _policyNumbers;
    mapping(uint16 number => bytes32 policy) private _policies;
    uint16 private _policyCount;
    /// @dev Part of what is covered that credit notes took off.
    mapping(WaybillId waybill => uint64) private _credited;
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
        if (_waybills[waybill].version != 0) revert WaybillAlreadyIssued(waybill);
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
        Stored storage parent = _get(form.parent);
        WaybillState state = _stateOf(parent);
        if (state != WaybillState.Issued && state != WaybillState.InTransit) {
            revert WaybillUnexpectedState(form.parent, state, WaybillState.Issued);
        }
        if (parent.leaf) revert WaybillParentIsLeaf(form.parent, parent.trip);
        if (parent.performer != form.issuer) {
            revert WaybillIssuerNotParentPerformer(form.parent, parent.performer, form.issuer);
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

    /// @dev Walks to the root: the performer stands nowhere above, consignee and shipping note are the root's. The issuer of each
    /// waybill is the performer of the one above, so performers and the root's issuer are all there are; the lowest of them is
    /// the issuer of the form itself.
    function _requireNewInChain(Waybill calldata form) private view {
        WaybillId at = form.parent;
        Stored storage w = _waybills[at];
        while (!_isRoot(w)) {
            WaybillId next = _parentOf(w);
            w = _waybills[next];
            // He is the issuer of the waybill at hand, by being the performer of the next one.
            if (w.performer == form.performer) revert WaybillPartyTwice(at, form.performer);
            at = next;
        }
        if (_rootIssuerOf(w) == form.performer) revert WaybillPartyTwice(at, form.performer);
        PartyId consignee = _rootConsigneeOf(w);
        if (consignee != form.consignee) {
            revert WaybillConsigneeDiffers(form.parent, consignee, form.consignee);
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
        parent.childFreight = uint56(freightSum);
        parent.childQuantity = uint56(quantitySum);
    }

    function _store(WaybillId waybill, Waybill calldata form, uint8 tier, bool declared) private {
        Stored storage w = _waybills[waybill];
        w.above = tier == 0
            ? _rootWord(form.issuer, form.consignee, declared)
            : WaybillId.unwrap(form.parent);
        bool leaf = form.trip != NO_TRIP;
        w.performer = form.performer;
        if (leaf) w.children = _numberOf(form.policy);
        w.freight = uint56(form.freight);
        w.quantity = uint56(form.quantity);
        w.termDays = uint16(form.termDays);
        w.tier = tier;
        w.leaf = leaf;
        w.version = 1;
        w.loadFrom = uint32(form.loadFrom);
        w.deliverBy = uint32(form.deliverBy);
        w.issuedAt = uint32(block.timestamp);
        if (leaf) {
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

    function _numberOf(bytes32 policy) private returns (uint16 number) {
        number = _policyNumbers[policy];
        if (number == 0) {
            if (_policyCount == type(uint16).max) revert WaybillFieldInvalid("policy");
            number = ++_policyCount;
            _policyNumbers[policy] = number;
            _policies[number] = policy;
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
        bool leaf = w.leaf;
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

        if (!_isRoot(w)) {
            _addToParent(_parentOf(w), w.freight, uint64(form.freight), w.quantity, form.quantity);
        }
        w.version++;
        w.freight = uint56(form.freight);
        w.quantity = uint56(form.quantity);
        w.loadFrom = uint32(form.loadFrom);
        w.deliverBy = uint32(form.deliverBy);
        if (leaf) {
            w.vehicle = form.vehicle;
            w.plan = form.plan;
        }
        emit WaybillAmended(
            form.waybill, w.version, form.freight, form.quantity, form.plan, form.vehicle
        );
    }

    /// @dev The new window lies inside the parent's and, where there are children, holds the old one.
    function _requireAmendedWindow(Amendment calldata form, Stored storage w) private view {
        if (!_isRoot(w)) {
            WaybillId above = _parentOf(w);
            Stored storage parent = _waybills[above];
            if (form.loadFrom < parent.loadFrom || form.deliverBy > parent.deliverBy) {
                revert WaybillWindowOutsideParent(above, form.loadFrom, form.deliverBy);
            }
        }
        if (_childrenOf(w) != 0 && (form.loadFrom > w.loadFrom || form.deliverBy < w.deliverBy)) {
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
        WaybillState state = _stateOf(w);
        bool idle = state == WaybillState.InTransit && !w.leaf;
        if (state != WaybillState.Issued && !idle) {
            revert WaybillUnexpectedState(form.waybill, state, WaybillState.Issued);
        }
        _requireInTime(form.expires);
        _requireVersion(form.waybill, w.version, form.version);
        uint16 children = _childrenOf(w);
        if (children != 0) revert WaybillChildrenExceed(form.waybill, children, 0);
        if (w.pledgee != NOBODY) revert WaybillPledgedElsewhere(form.waybill, w.pledgee);
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
        WaybillState state = _stateOf(w);
        if (state == WaybillState.Paid || state == WaybillState.Cancelled) {
            revert WaybillUnexpectedState(form.waybill, state, WaybillState.Delivered);
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

        w.covered += uint56(form.amount);
        uint64 credited = _credited[form.waybill] + uint64(form.amount);
        _credited[form.waybill] = credited;
        emit WaybillCredited(form.waybill, form.amount, credited);
        _closeIfNothingOwed(form.waybill, w);
    }

    // -- what the contracts above record ----------------------------------------------------------

    /// @inheritdoc IWaybillRegistry
    function recordLoading(TripId trip) external only(DELIVERIES) {
        WaybillId at = _leaves[trip];
        Stored storage leaf = _getIn(at, WaybillState.Issued);
        _move(at, leaf, WaybillState.InTransit);
        // The waybills above may have left Issued with an earlier truck.
        while (!_isRoot(leaf)) {
            at = _parentOf(leaf);
            leaf = _waybills[at];
            if (leaf.moved != WaybillState.None) break;
            _move(at, leaf, WaybillState.InTransit);
        }
    }

    /// @inheritdoc IWaybillRegistry
    function recordDelivery(TripId trip, uint64 accepted, uint64 at) external only(DELIVERIES) {
        WaybillId id = _leaves[trip];
        Stored storage w = _getIn(id, WaybillState.InTransit);
        uint56 quantity = w.quantity;
        while (true) {
            w.accepted += uint56(accepted);
            if (!w.leaf) w.deliveredBelow += quantity;
            if (w.leaf || w.deliveredBelow == w.quantity) {
                w.deliveredAt = uint32(at);
                _move(id, w, WaybillState.Delivered);
                _closeIfNothingOwed(id, w);
            }
            if (_isRoot(w)) break;
            id = _parentOf(w);
            w = _waybills[id];
        }
    }

    /// @inheritdoc IWaybillRegistry
    function recordVoid(TripId trip) external only(DELIVERIES) {
        WaybillId id = _leaves[trip];
        Stored storage leaf = _waybills[id];
        WaybillState state = _stateOf(leaf);
        // A leaf cancelled by its parties has left its parent already.
        if (state == WaybillState.Issued || state == WaybillState.InTransit) {
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
        w.covered += uint56(amount);
        emit WaybillPaid(waybill, amount, w.covered - _credited[waybill]);
        _closeIfNothingOwed(waybill, w);
    }

    /// @inheritdoc IWaybillRegistry
    function pledge(WaybillId waybill, PartyId pledgee) external only(ADVANCE) {
        Stored storage w = _get(waybill);
        if (w.pledgee != pledgee) {
            if (w.pledgee != NOBODY) revert WaybillPledgedElsewhere(waybill, w.pledgee);
            w.pledgee = pledgee;
        }
        emit WaybillPledged(waybill, pledgee);
    }

    /// @inheritdoc IWaybillRegistry
    function release(WaybillId waybill, PartyId pledgee) external only(ADVANCE) {
        Stored storage w = _get(waybill);
        if (w.pledgee != pledgee || pledgee == NOBODY) {
            revert WaybillPledgedElsewhere(waybill, w.pledgee);
        }
        w.pledgee = NOBODY;
        emit WaybillReleased(waybill, pledgee);
    }

    // -- reading ----------------------------------------------------------------------------------

    /// @inheritdoc IWaybillRegistry
    function get(WaybillId waybill) external view returns (WaybillRecord memory r) {
        Stored storage w = _waybills[waybill];
        if (w.version == 0) return r;
        Stored storage root = _rootOf(w);
        if (!_isRoot(w)) r.parent = _parentOf(w);
        r.issuer = _issuerOf(w);
        r.performer = w.performer;
        r.consignee = _rootConsigneeOf(root);
        r.pledgee = w.pledgee;
        r.state = _stateOf(w);
        r.declared = _isDeclared(w);
        r.tier = w.tier;
        r.children = _childrenOf(w);
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
        r.credited = _credited[waybill];
        r.paid = w.covered - r.credited;
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
            state: _stateOf(leaf),
            performer: leaf.performer,
            consignee: id == NO_WAYBILL ? NOBODY : _rootConsigneeOf(_rootOf(leaf)),
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
        if (w.version == 0) return (NOBODY, NOBODY, false, 0, 0);
        (debtor, creditor, declared) = (_issuerOf(w), w.performer, _isDeclared(w));
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
        return (leaf.version, leaf.vehicle, leaf.plan, _policies[leaf.children]);
    }

    /// @inheritdoc IWaybillRegistry
    function vehicleOf(TripId trip) external view returns (uint32 version, bytes32 vehicle) {
        Stored storage leaf = _waybills[_leaves[trip]];
        return (leaf.version, leaf.vehicle);
    }

    /// @inheritdoc IWaybillRegistry
    function outstanding(WaybillId waybill) external view returns (uint128) {
        return uint128(_outstanding(_waybills[waybill]));
    }

    /// @inheritdoc IWaybillRegistry
    function isBelow(WaybillId waybill, WaybillId ancestor) public view returns (bool) {
        if (ancestor == NO_WAYBILL) return false;
        Stored storage w = _waybills[waybill];
        while (!_isRoot(w)) {
            WaybillId at = _parentOf(w);
            if (at == ancestor) return true;
            w = _waybills[at];
        }
        return false;
    }

    /// @inheritdoc IWaybillRegistry
    function isPartyOfChain(WaybillId waybill, PartyId party) external view returns (bool) {
        if (party == NOBODY) return false;
        Stored storage w = _waybills[waybill];
        if (w.version == 0) return false;
        for (; !_isRoot(w); w = _waybills[_parentOf(w)]) {
            if (w.performer == party) return true;
        }
        return w.performer == party || _rootIssuerOf(w) == party || _rootConsigneeOf(w) == party;
    }

    /// @inheritdoc IWaybillRegistry
    function hashWaybill(Waybill calldata form) external pure returns (WaybillId) {
        return WaybillId.wrap(form.hash());
    }

    // -- the packed words -------------------------------------------------------------------------

    function _rootWord(PartyId issuer, PartyId consignee, bool declared)
        private
        pure
        returns (bytes32 word)
    {
        word = bytes32(uint256(PartyId.unwrap(consignee)) << 64 | PartyId.unwrap(issuer));
        if (declared) word |= DECLARED;
    }

    /// @dev What stands above is a hash below a root and a small word at a root: no hash begins with 127 zero bits.
    function _isRoot(Stored storage w) private view returns (bool) {
        return uint256(w.above) >> 129 == 0;
    }

    function _rootIssuerOf(Stored storage root) private view returns (PartyId) {
        return PartyId.wrap(uint64(uint256(root.above)));
    }

    function _rootConsigneeOf(Stored storage root) private view returns (PartyId) {
        return PartyId.wrap(uint64(uint256(root.above) >> 64));
    }

    function _isDeclared(Stored storage w) private view returns (bool) {
        return _isRoot(w) && w.above & DECLARED != 0;
    }

    /// @dev Of a waybill that is no root.
    function _parentOf(Stored storage w) private view returns (WaybillId) {
        return WaybillId.wrap(w.above);
    }

    function _rootOf(Stored storage w) private view returns (Stored storage) {
        while (!_isRoot(w)) {
            w = _waybills[_parentOf(w)];
        }
        return w;
    }

    /// @dev Promise A: the issuer of a child is the performer of its parent.
    function _issuerOf(Stored storage w) private view returns (PartyId) {
        return _isRoot(w) ? _rootIssuerOf(w) : _waybills[_parentOf(w)].performer;
    }

    function _childrenOf(Stored storage w) private view returns (uint16) {
        return w.leaf ? 0 : w.children;
    }

    function _stateOf(Stored storage w) private view returns (WaybillState) {
        if (w.moved != WaybillState.None) return w.moved;
        return w.version == 0 ? WaybillState.None : WaybillState.Issued;
    }

    // -- inside -----------------------------------------------------------------------------------

    /// @dev The only function that moves a state.
    function _move(WaybillId waybill, Stored storage w, WaybillState to) private {
        WaybillState from = _stateOf(w);
        assert(Moves.waybill(from, to));
        w.moved = to;
        emit WaybillMoved(waybill, from, to);
    }

    function _cancel(WaybillId waybill, Stored storage w) private {
        if (!_isRoot(w)) {
            // What is cancelled has no live child and delivered nothing: the parent gets back all of it.
            WaybillId above = _parentOf(w);
            _addToParent(above, w.freight, 0, w.quantity, 0);
            _waybills[above].children--;
        }
        _move(waybill, w, WaybillState.Cancelled);
        emit WaybillCancelled(waybill);
    }

    function _closeIfNothingOwed(WaybillId waybill, Stored storage w) private {
        if (w.moved == WaybillState.Delivered && _outstanding(w) == 0) {
            _move(waybill, w, WaybillState.Paid);
        }
    }

    function _get(WaybillId waybill) private view returns (Stored storage w) {
        w = _waybills[waybill];
        if (w.version == 0) revert WaybillUnknown(waybill);
    }

    function _getIn(WaybillId waybill, WaybillState wanted)
        private
        view
        returns (Stored storage w)
    {
        w = _get(waybill);
        WaybillState state = _stateOf(w);
        if (state != wanted) revert WaybillUnexpectedState(waybill, state, wanted);
    }

    /// @dev A quantity's part of the freight, at most what is neither paid nor credited.
    function _shareDown(Stored storage w, uint64 quantity) private view returns (uint128) {
        return uint128(Math.min(uint256(w.freight) * quantity / w.quantity, _unpaid(w)));
    }

    /// @dev The freight, delivered or not, that is neither paid nor credited.
    function _unpaid(Stored storage w) private view returns (uint256) {
        return w.freight - Math.min(w.freight, w.covered);
    }

    function _earned(Stored storage w) private view returns (uint64) {
        return uint64(uint256(w.freight) * w.accepted / w.quantity);
    }

    function _outstanding(Stored storage w) private view returns (uint256) {
        if (w.quantity == 0) return 0;
        uint256 earned = _earned(w);
        return earned - Math.min(earned, w.covered);
    }

    /// @dev The issuer of a declared root never signed it and is not bound by it, so the performer alone may change it.
    function _requireBoth(
        Stored storage w,
        bytes32 digest,
        bytes calldata issuerSignature,
        bytes calldata performerSignature
    ) private view {
        if (issuerSignature.length != 0 || !_isDeclared(w)) {
            PARTIES.requireSignature(_issuerOf(w), digest, issuerSignature);
        }
        PARTIES.requireSignature(w.performer, digest, performerSignature);
    }

    function _requirePledgee(Stored storage w, bytes32 digest, bytes calldata signature)
        private
        view
    {
        if (w.pledgee != NOBODY) PARTIES.requireSignature(w.pledgee, digest, signature);
    }

    function _requireInTime(uint64 expires) private view {
        if (block.timestamp > expires) revert WaybillFormExpired(expires, uint64(block.timestamp));
    }

    function _requireVersion(WaybillId waybill, uint32 current, uint32 given) private pure {
        if (current != given) revert WaybillVersionStale(waybill, current, given);
    }
}
