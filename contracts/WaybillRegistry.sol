// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {WaybillBook} from "./WaybillBook.sol";
import {IPartyRegistry} from "./interfaces/IPartyRegistry.sol";
import {IWaybillRegistry} from "./interfaces/IWaybillRegistry.sol";
import {Moves} from "./libraries/Moves.sol";
import {WaybillHash} from "./libraries/WaybillHash.sol";
import {NO_TRIP, NO_WAYBILL, NOBODY, PartyId, TripId, WaybillId} from "./types/Ids.sol";
import {WaybillState} from "./types/States.sol";
import {Amendment, Cancellation, CreditNote, Waybill} from "./types/WaybillForms.sol";

/// @title The back-to-back chain of waybills
/// @notice Promises A (closure), B (consent) and J (states). The manual is IWaybillRegistry; what is stored stands in WaybillBook.
contract WaybillRegistry is IWaybillRegistry, EIP712, WaybillBook {
    using WaybillHash for *;

    // -- bounds and neighbours --------------------------------------------------------------------

    /// @inheritdoc IWaybillRegistry
    uint8 public constant MAX_TIER = 8;
    /// @inheritdoc IWaybillRegistry
    uint64 public constant MAX_AMOUNT = 2 ** 53 - 1;

    uint32 private constant MAX_TERM_DAYS = 3650;

    IPartyRegistry private immutable PARTIES;
    address private immutable DELIVERIES;
    address private immutable ADVANCE;
    address private immutable SETTLEMENT;

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
        if (leaf) w.childQuantity = _numberOf(form.policy);
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

    function _numberOf(bytes32 policy) private returns (uint56 number) {
        number = _policyNumbers[policy];
        if (number == 0) {
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
        if (_childQuantityOf(w) > form.quantity) {
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
        WaybillState state = _stateOf(w);
        bool idle = state == WaybillState.InTransit && !w.leaf;
        if (state != WaybillState.Issued && !idle) {
            revert WaybillUnexpectedState(form.waybill, state, WaybillState.Issued);
        }
        _requireInTime(form.expires);
        _requireVersion(form.waybill, w.version, form.version);
        if (w.children != 0) revert WaybillChildrenExceed(form.waybill, w.children, 0);
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
