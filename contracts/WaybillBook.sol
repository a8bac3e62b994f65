// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IWaybillRegistry, LeafFacts, WaybillRecord} from "./interfaces/IWaybillRegistry.sol";
import {WaybillHash} from "./libraries/WaybillHash.sol";
import {NO_WAYBILL, NOBODY, PartyId, TripId, WaybillId} from "./types/Ids.sol";
import {WaybillState} from "./types/States.sol";
import {Waybill} from "./types/WaybillForms.sol";

/// @title The book of waybills: what is stored, and how it is read
/// @notice Nothing here moves anything; WaybillRegistry writes. The manual is IWaybillRegistry.
abstract contract WaybillBook is IWaybillRegistry {
    using WaybillHash for Waybill;

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
        uint56 childQuantity; // a leaf has no child: there the number of its policy stands
        uint16 children;
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

    bytes32 internal constant DECLARED = bytes32(uint256(1) << 128);

    mapping(WaybillId waybill => Stored) internal _waybills;
    mapping(TripId trip => WaybillId leaf) internal _leaves;
    /// @dev Of roots only; every waybill below has the same.
    mapping(WaybillId root => bytes32) internal _shippingNotes;
    /// @dev Few policies serve many waybills: a waybill keeps a number, the hash stands here once. 0 is none. There are more
    /// numbers than anybody can use up, so nobody can keep others from naming a policy of theirs.
    mapping(bytes32 policy => uint56) internal _policyNumbers;
    mapping(uint56 number => bytes32 policy) internal _policies;
    uint56 internal _policyCount;
    /// @dev Part of what is covered that credit notes took off.
    mapping(WaybillId waybill => uint64) internal _credited;

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
        r.children = w.children;
        r.version = w.version;
        r.termDays = w.termDays;
        r.quantity = w.quantity;
        r.loadFrom = w.loadFrom;
        r.deliverBy = w.deliverBy;
        r.issuedAt = w.issuedAt;
        r.deliveredAt = w.deliveredAt;
        r.childQuantity = _childQuantityOf(w);
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
        return (leaf.version, leaf.vehicle, leaf.plan, _policies[leaf.childQuantity]);
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
        internal
        pure
        returns (bytes32 word)
    {
        word = bytes32(uint256(PartyId.unwrap(consignee)) << 64 | PartyId.unwrap(issuer));
        if (declared) word |= DECLARED;
    }

    /// @dev What stands above is a hash below a root and a small word at a root: no hash begins with 127 zero bits.
    function _isRoot(Stored storage w) internal view returns (bool) {
        return uint256(w.above) >> 129 == 0;
    }

    function _rootIssuerOf(Stored storage root) internal view returns (PartyId) {
        return PartyId.wrap(uint64(uint256(root.above)));
    }

    function _rootConsigneeOf(Stored storage root) internal view returns (PartyId) {
        return PartyId.wrap(uint64(uint256(root.above) >> 64));
    }

    function _isDeclared(Stored storage w) internal view returns (bool) {
        return _isRoot(w) && w.above & DECLARED != 0;
    }

    /// @dev Of a waybill that is no root.
    function _parentOf(Stored storage w) internal view returns (WaybillId) {
        return WaybillId.wrap(w.above);
    }

    function _rootOf(Stored storage w) internal view returns (Stored storage) {
        while (!_isRoot(w)) {
            w = _waybills[_parentOf(w)];
        }
        return w;
    }

    /// @dev Promise A: the issuer of a child is the performer of its parent.
    function _issuerOf(Stored storage w) internal view returns (PartyId) {
        return _isRoot(w) ? _rootIssuerOf(w) : _waybills[_parentOf(w)].performer;
    }

    function _childQuantityOf(Stored storage w) internal view returns (uint56) {
        return w.leaf ? 0 : w.childQuantity;
    }

    function _stateOf(Stored storage w) internal view returns (WaybillState) {
        if (w.moved != WaybillState.None) return w.moved;
        return w.version == 0 ? WaybillState.None : WaybillState.Issued;
    }

    // -- inside -----------------------------------------------------------------------------------

    function _get(WaybillId waybill) internal view returns (Stored storage w) {
        w = _waybills[waybill];
        if (w.version == 0) revert WaybillUnknown(waybill);
    }

    function _getIn(WaybillId waybill, WaybillState wanted)
        internal
        view
        returns (Stored storage w)
    {
        w = _get(waybill);
        WaybillState state = _stateOf(w);
        if (state != wanted) revert WaybillUnexpectedState(waybill, state, wanted);
    }

    /// @dev A quantity's part of the freight, at most what is neither paid nor credited.
    function _shareDown(Stored storage w, uint64 quantity) internal view returns (uint128) {
        return uint128(Math.min(uint256(w.freight) * quantity / w.quantity, _unpaid(w)));
    }

    /// @dev The freight, delivered or not, that is neither paid nor credited.
    function _unpaid(Stored storage w) internal view returns (uint256) {
        return w.freight - Math.min(w.freight, w.covered);
    }

    function _earned(Stored storage w) internal view returns (uint64) {
        return uint64(uint256(w.freight) * w.accepted / w.quantity);
    }

    function _outstanding(Stored storage w) internal view returns (uint256) {
        if (w.quantity == 0) return 0;
        uint256 earned = _earned(w);
        return earned - Math.min(earned, w.covered);
    }
}
