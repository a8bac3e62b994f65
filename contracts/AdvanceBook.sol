// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICreditFacility} from "./interfaces/ICreditFacility.sol";
import {AdvanceRecord, Due, IFreightAdvance} from "./interfaces/IFreightAdvance.sol";
import {AdvanceTerms} from "./libraries/AdvanceTerms.sol";
import {Calendar} from "./libraries/Calendar.sol";
import {Payee} from "./types/AdvanceForms.sol";
import {AdvanceId, NO_ADVANCE, NOBODY, TripId, WaybillId} from "./types/Ids.sol";
import {AdvanceState} from "./types/States.sol";

/// @title The book of advances: what is stored, and how it is read
/// @notice Nothing here moves anything; FreightAdvance writes. The manual is IFreightAdvance.
abstract contract AdvanceBook is IFreightAdvance {
    // -- what is stored ---------------------------------------------------------------------------

    /// @dev What moves; what the request fixed stands in the account `terms`. One slot but for what rarely happens.
    struct Stored {
        address terms;
        AdvanceState state;
        bool acknowledged;
        bool gateOpen;
        bool cut; // what is granted differs from what was asked, see _grants
        uint8 consented; // a bit for each payee
        uint8 paid; // a bit for each payee
        uint48 approvedUntil;
        // slot
        uint64 unpaid; // granted to payees whose payment failed
        uint48 releasableAt;
    }

    ICreditFacility internal immutable FACILITY;

    mapping(AdvanceId advance => Stored) internal _advances;
    /// @dev Only where a shortage cut them; else each payee is granted what was asked for him.
    mapping(AdvanceId advance => mapping(uint256 index => uint64)) internal _grants;
    /// @dev The approved advance of a trip; cleared only when it is voided.
    mapping(TripId trip => AdvanceId) internal _advanceOf;
    /// @dev Approved and not yet ended, oldest first; NO_ADVANCE after the last.
    mapping(WaybillId waybill => mapping(uint256 place => AdvanceId)) internal _advancesOn;
    mapping(bytes32 fingerprint => bool) internal _pledged;

    constructor(ICreditFacility facility) {
        FACILITY = facility;
    }

    // -- reading ----------------------------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function get(AdvanceId advance) external view returns (AdvanceRecord memory r) {
        Stored storage a = _advances[advance];
        if (a.state == AdvanceState.None) return r;
        AdvanceTerms.Terms memory t = _termsOf(a);
        (uint128 drawn, uint128 outstanding, uint32 startDay, uint32 dueDay) =
            FACILITY.scheduleOf(advance);
        r = AdvanceRecord({
            line: t.line,
            waybill: t.waybill,
            trip: t.trip,
            borrower: t.borrower,
            lender: t.lender,
            state: a.state,
            principal: t.principal,
            released: drawn + a.unpaid,
            outstanding: outstanding,
            approvedUntil: a.approvedUntil,
            startDay: startDay,
            dueDay: dueDay,
            fingerprint: t.fingerprint
        });
    }

    /// @inheritdoc IFreightAdvance
    function payeesOf(AdvanceId advance) external view returns (Payee[] memory payees) {
        Stored storage a = _advances[advance];
        if (a.state != AdvanceState.None) payees = _termsOf(a).payees;
    }

    /// @inheritdoc IFreightAdvance
    function grantOf(AdvanceId advance, uint256 index)
        external
        view
        returns (uint128 granted, bool consented, bool paid)
    {
        Stored storage a = _get(advance);
        Payee[] memory payees = _termsOf(a).payees;
        if (index >= payees.length) revert AdvancePayeeInvalid(index, NOBODY);
        uint128 asked = payees[index].amount;
        (uint128 drawn,,,) = FACILITY.scheduleOf(advance);
        // Nothing is granted before the release.
        if (drawn + a.unpaid != 0) granted = _grantOf(advance, a, index, asked);
        return (granted, _isIn(a.consented, index), _isIn(a.paid, index));
    }

    /// @inheritdoc IFreightAdvance
    function due(AdvanceId advance, uint32 day) external view returns (Due memory) {
        return FACILITY.dueOn(advance, day);
    }

    /// @inheritdoc IFreightAdvance
    function advanceOf(TripId trip) external view returns (AdvanceId) {
        return _advanceOf[trip];
    }

    /// @inheritdoc IFreightAdvance
    function advancesOn(WaybillId waybill) external view returns (AdvanceId[] memory advances) {
        mapping(uint256 place => AdvanceId) storage list = _advancesOn[waybill];
        uint256 count = 0;
        while (list[count] != NO_ADVANCE) {
            count++;
        }
        advances = new AdvanceId[](count);
        for (uint256 i = 0; i < count; i++) {
            advances[i] = list[i];
        }
    }

    /// @inheritdoc IFreightAdvance
    function isPledged(bytes32 fingerprint) external view returns (bool) {
        return _pledged[fingerprint];
    }

    /// @inheritdoc IFreightAdvance
    function today() external view returns (uint32) {
        return Calendar.today();
    }

    // -- inside -----------------------------------------------------------------------------------

    function _grantOf(AdvanceId advance, Stored storage a, uint256 index, uint128 asked)
        internal
        view
        returns (uint64)
    {
        return a.cut ? _grants[advance][index] : uint64(asked);
    }

    function _termsOf(Stored storage a) internal view returns (AdvanceTerms.Terms memory) {
        return AdvanceTerms.loaded(a.terms);
    }

    function _bit(uint256 index) internal pure returns (uint8) {
        return uint8(1 << index);
    }

    function _isIn(uint8 set, uint256 index) internal pure returns (bool) {
        return set & _bit(index) != 0;
    }

    function _isOwing(Stored storage a) internal view returns (bool) {
        return a.state == AdvanceState.Released || a.state == AdvanceState.Defaulted
            || a.state == AdvanceState.WrittenOff;
    }

    function _get(AdvanceId advance) internal view returns (Stored storage a) {
        a = _advances[advance];
        if (a.state == AdvanceState.None) revert AdvanceUnknown(advance);
    }

    function _getIn(AdvanceId advance, AdvanceState wanted)
        internal
        view
        returns (Stored storage a)
    {
        a = _get(advance);
        _requireState(advance, a, wanted);
    }

    function _requireState(AdvanceId advance, Stored storage a, AdvanceState wanted) internal view {
        if (a.state != wanted) revert AdvanceUnexpectedState(advance, a.state, wanted);
    }

    function _requireOwing(AdvanceId advance, Stored storage a) internal view {
        if (!_isOwing(a)) _requireState(advance, a, AdvanceState.Released); // it is not, so this refuses
    }
}
