// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {ICreditFacility} from "./interfaces/ICreditFacility.sol";
import {IDeliveryListener} from "./interfaces/IDeliveryListener.sol";
import {IDeliveryRegistry, Watch} from "./interfaces/IDeliveryRegistry.sol";
import {AdvanceRecord, Due, IFreightAdvance} from "./interfaces/IFreightAdvance.sol";
import {IPartyRegistry} from "./interfaces/IPartyRegistry.sol";
import {IWaybillRegistry} from "./interfaces/IWaybillRegistry.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {AdvanceHash} from "./libraries/AdvanceHash.sol";
import {Calendar} from "./libraries/Calendar.sol";
import {Waterfall} from "./libraries/Waterfall.sol";
import {
    Acknowledgement,
    AdvanceRequest,
    Approval,
    Gate,
    LenderAct,
    Payee,
    PayeeConsent,
    Repayment
} from "./types/AdvanceForms.sol";
import {AdvanceId, LineId, NO_ADVANCE, PartyId, TripId, WaybillId} from "./types/Ids.sol";
import {AdvanceState, TripState} from "./types/States.sol";

/// @title The freight advance: request, approve, release at delivery to the payees, repay
/// @notice Promises D, F, H, J, K and L. The manual is IFreightAdvance.
contract FreightAdvance is IFreightAdvance, EIP712, AccessManaged, Pausable, ReentrancyGuard {
    using AdvanceHash for *;

    // -- what is stored ---------------------------------------------------------------------------

    /// @dev Packed by slot. Amounts fit 64 bits because a waybill's freight is below 2^53.
    struct Stored {
        LineId line;
        WaybillId waybill;
        TripId trip;
        bytes32 fingerprint;
        // slot: who and where it stands
        PartyId borrower;
        PartyId lender;
        PartyId debtor;
        AdvanceState state;
        bool acknowledged;
        bool gateOpen;
        uint32 leafVersion;
        // slot: fen, and an instant
        uint64 principal; // asked and approved
        uint64 released; // granted to the payees at release
        uint64 drawn; // paid to them so far
        uint64 approvedUntil;
        // slot, of the few that wait for their lender
        uint64 releasableAt;
    }

    /// @dev One payee, frozen by the approval; `granted` is set at release.
    struct Entry {
        PartyId party;
        uint64 amount;
        uint64 granted;
        bool consented;
        bool paid;
        WaybillId waybill;
        bytes32 account;
    }

    /// @inheritdoc IFreightAdvance
    uint64 public constant GATE_WAIT = 7 days;
    /// @inheritdoc IFreightAdvance
    uint256 public constant MAX_PAYEES = 8;
    /// @inheritdoc IFreightAdvance
    uint256 public constant MAX_ADVANCES = 32;

    uint256 private constant BPS = 10_000;

    IPartyRegistry private immutable PARTIES;
    IWaybillRegistry private immutable WAYBILLS;
    IDeliveryRegistry private immutable DELIVERIES;
    ICreditFacility private immutable FACILITY;
    address private immutable SETTLEMENT;

    mapping(AdvanceId advance => Stored) private _advances;
    mapping(AdvanceId advance => Entry[]) private _entries;
    /// @dev The approved advance of a trip; cleared only when it is voided.
    mapping(TripId trip => AdvanceId) private _advanceOf;
    /// @dev Approved and not yet ended, oldest first, at most MAX_ADVANCES.
    mapping(WaybillId waybill => AdvanceId[]) private _advancesOn;
    mapping(bytes32 fingerprint => bool) private _pledged;
    mapping(bytes32 digest => bool) private _used;

    constructor(
        address authority,
        IPartyRegistry parties,
        IWaybillRegistry waybills,
        IDeliveryRegistry deliveries,
        ICreditFacility facility,
        address settlement
    ) EIP712("Yundan", "1") AccessManaged(authority) {
        PARTIES = parties;
        WAYBILLS = waybills;
        DELIVERIES = deliveries;
        FACILITY = facility;
        SETTLEMENT = settlement;
    }

    // -- request ----------------------------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function request(AdvanceRequest calldata form, bytes calldata borrowerSignature)
        external
        whenNotPaused
        returns (AdvanceId advance)
    {
        bytes32 structHash = form.hash();
        advance = AdvanceId.wrap(structHash);
        // The id is the hash of the form, so a form serves once.
        if (_advances[advance].state != AdvanceState.None) revert AdvanceAlreadyRequested(advance);
        PartyId borrower = _store(advance, form);
        _requireSigned(borrower, form.expires, structHash, borrowerSignature);
        emit AdvanceRequested(
            advance, form.line, form.trip, form.waybill, borrower, form.principal, form.decision
        );
    }

    function _store(AdvanceId advance, AdvanceRequest calldata form)
        private
        returns (PartyId borrower)
    {
        if (form.principal == 0) revert AdvanceFieldInvalid("principal");
        if (form.fingerprint == 0) revert AdvanceFieldInvalid("fingerprint");
        _requireUnpledged(form.fingerprint, form.trip);
        Stored storage a = _advances[advance];
        uint16 advanceBps;
        (a.lender, borrower,, advanceBps) = FACILITY.standingOf(form.line);
        (PartyId debtor, PartyId creditor, bool declared, uint32 leafVersion, uint128 share) =
            WAYBILLS.receivableOf(form.waybill, form.trip);
        if (creditor != borrower) revert AdvanceBorrowerDiffers(borrower, creditor);
        if (declared) revert AdvanceWaybillNotSigned(form.waybill);
        // The debtor is not the borrower (promise A: nobody stands twice); nor may he be who lends.
        if (debtor == a.lender) revert AdvanceDebtorUnfit(form.waybill, debtor);
        if (leafVersion == 0) revert AdvanceFieldInvalid("trip");
        _requireBacked(form.principal, share, advanceBps);
        a.line = form.line;
        a.waybill = form.waybill;
        a.trip = form.trip;
        a.fingerprint = form.fingerprint;
        a.borrower = borrower;
        a.debtor = debtor;
        a.state = AdvanceState.Requested;
        a.leafVersion = leafVersion;
        a.principal = uint64(form.principal);
        _storePayees(advance, form);
    }

    /// @dev Promise D: each payee performs a waybill on the way from the leaf up to the borrower's, so none is the borrower;
    /// the driver is first; nobody is asked for more than his freight for this trip, nor named twice.
    function _storePayees(AdvanceId advance, AdvanceRequest calldata form) private {
        Payee[] calldata payees = form.payees;
        if (payees.length == 0 || payees.length > MAX_PAYEES) revert AdvanceFieldInvalid("payees");
        if (payees[0].waybill != WAYBILLS.leafOf(form.trip)) {
            revert AdvanceDriverNotFirst(form.trip, payees[0].party);
        }
        uint256 sum = 0;
        Entry[] storage entries = _entries[advance];
        for (uint256 i = 0; i < payees.length; i++) {
            Payee calldata payee = payees[i];
            uint128 most = WAYBILLS.payableTo(payee.party, payee.waybill, form.trip, form.waybill);
            bool valid = payee.amount != 0 && payee.amount <= most && payee.account != 0;
            for (uint256 j = 0; j < i; j++) {
                if (payees[j].party == payee.party) valid = false;
            }
            if (!valid) revert AdvancePayeeInvalid(i, payee.party);
            sum += payee.amount;
            Entry storage e = entries.push();
            e.party = payee.party;
            e.amount = uint64(payee.amount);
            e.waybill = payee.waybill;
            e.account = payee.account;
        }
        if (sum != form.principal) revert AdvancePayeesSum(sum, form.principal);
    }

    /// @dev At most the line's part of what the trip's share of the freight may still come to.
    function _requireBacked(uint256 principal, uint128 share, uint16 advanceBps) private pure {
        uint256 most = uint256(share) * advanceBps / BPS;
        if (principal > most) revert AdvanceExceedsReceivable(most, principal);
    }

    function _requireUnpledged(bytes32 fingerprint, TripId trip) private view {
        if (_pledged[fingerprint]) revert AdvanceReceivablePledged(fingerprint);
        if (_advanceOf[trip] != NO_ADVANCE) revert AdvanceTripTaken(trip);
    }

    // -- consent ----------------------------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function acknowledge(Acknowledgement calldata form, bytes calldata debtorSignature) external {
        Stored storage a = _get(form.advance);
        if (a.acknowledged) return; // nothing more to say
        _requireState(form.advance, a, AdvanceState.Requested);
        if (form.debtor != a.debtor) revert AdvanceDebtorUnfit(a.waybill, form.debtor);
        if (form.waybill != a.waybill) revert AdvanceFieldInvalid("waybill");
        if (form.trip != a.trip) revert AdvanceFieldInvalid("trip");
        if (form.lender != a.lender) revert AdvanceLenderDiffers(a.lender, form.lender);
        _requireSigned(a.debtor, form.expires, form.hash(), debtorSignature);

        a.acknowledged = true;
        emit DebtAcknowledged(form.advance, a.debtor, form.notice);
    }

    /// @inheritdoc IFreightAdvance
    function consent(PayeeConsent calldata form, bytes calldata payeeSignature) external {
        Stored storage a = _get(form.advance);
        Entry[] storage entries = _entries[form.advance];
        for (uint256 i = 0; i < entries.length; i++) {
            Entry storage e = entries[i];
            if (e.party != form.party) continue;
            if (e.account != form.account) revert AdvancePayeeInvalid(i, form.party);
            if (e.consented) return; // nothing more to say
            _requireState(form.advance, a, AdvanceState.Requested);
            _requireSigned(form.party, form.expires, form.hash(), payeeSignature);
            e.consented = true;
            emit PayeeConsented(form.advance, form.party, form.account);
            return;
        }
        revert AdvancePayeeInvalid(entries.length, form.party);
    }

    // -- approval ---------------------------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function approve(Approval calldata form, bytes calldata lenderSignature)
        external
        whenNotPaused
        nonReentrant
    {
        Stored storage a = _getIn(form.advance, AdvanceState.Requested);
        if (form.borrower != a.borrower || form.principal != a.principal) {
            revert AdvanceApprovalDiffers(form.advance);
        }
        if (block.timestamp > form.approvedUntil) {
            revert AdvanceApprovalEnded(form.advance, form.approvedUntil);
        }
        PartyId attestor = _requireReady(form.advance, a);
        _requireSigned(a.lender, form.expires, form.hash(), lenderSignature);

        a.state = AdvanceState.Approved;
        a.approvedUntil = form.approvedUntil;
        _pledged[a.fingerprint] = true;
        _advanceOf[a.trip] = form.advance;
        _advancesOn[a.waybill].push(form.advance);
        emit AdvanceApproved(form.advance, a.lender, form.principal, form.approvedUntil);
        FACILITY.reserve(a.line, form.principal);
        WAYBILLS.pledge(a.waybill, a.lender);
        DELIVERIES.watch(
            a.trip,
            Watch({
                listener: address(this), attestor: attestor, reviewer: a.lender, standIn: a.debtor
            })
        );
    }

    /// @dev What was true at the request is still true, everybody has agreed, and nothing was pledged meanwhile.
    /// @return attestor the one whom the lender chose in the line's terms.
    function _requireReady(AdvanceId advance, Stored storage a)
        private
        view
        returns (PartyId attestor)
    {
        if (!a.acknowledged) revert AdvanceNotAcknowledged(advance);
        Entry[] storage entries = _entries[advance];
        for (uint256 i = 0; i < entries.length; i++) {
            Entry storage e = entries[i];
            if (!e.consented) revert AdvancePayeeNotConsented(advance, e.party);
        }
        _requireUnpledged(a.fingerprint, a.trip);
        if (_advancesOn[a.waybill].length >= MAX_ADVANCES) {
            revert AdvanceTooMany(a.waybill, MAX_ADVANCES);
        }
        TripState trip = DELIVERIES.stateOf(a.trip);
        if (trip != TripState.Open && trip != TripState.Loaded) revert AdvanceFieldInvalid("trip");
        (,,, uint32 leafVersion, uint128 share) = WAYBILLS.receivableOf(a.waybill, a.trip);
        if (leafVersion != a.leafVersion) revert AdvanceAmended(advance);
        uint16 advanceBps;
        (,, attestor, advanceBps) = FACILITY.standingOf(a.line);
        _requireBacked(a.principal, share, advanceBps);
    }

    // -- release ----------------------------------------------------------------------------------

    /// @inheritdoc IDeliveryListener
    function onDelivered(TripId trip, uint64 accepted, uint64 loaded, uint64)
        external
        nonReentrant
    {
        if (msg.sender != address(DELIVERIES)) {
            revert AdvanceCallerNotAllowed(msg.sender);
        }
        AdvanceId advance = _advanceOf[trip];
        Stored storage a = _advances[advance];
        if (a.state != AdvanceState.Approved) return;
        // A disputed trip does not complete, so there is no dispute to ask for here.
        _onDelivered(advance, a, accepted, loaded, block.timestamp, false);
    }

    /// @inheritdoc IFreightAdvance
    function retry(AdvanceId advance) external nonReentrant {
        Stored storage a = _get(advance);
        if (a.state == AdvanceState.Released) {
            _payOpenEntries(advance, a);
            return;
        }
        (TripState trip, bool disputed, uint64 accepted, uint64 loaded, uint64 at) =
            DELIVERIES.outcomeOf(a.trip);
        if (a.state == AdvanceState.Approved && trip == TripState.Delivered) {
            // The listener failed when the delivery completed.
            _onDelivered(advance, a, accepted, loaded, at, disputed);
            return;
        }
        _requireState(advance, a, AdvanceState.Releasable);
        bytes32 held = _heldBecause(a, accepted, loaded, disputed);
        if (held == "dispute") revert AdvanceDisputed(advance);
        if (held == "gate") revert AdvanceGateClosed(advance);
        if (held == "amended") revert AdvanceAmended(advance);
        if (held == "shortage") revert AdvanceShortageHeld(advance, accepted, loaded);
        _release(advance, a, accepted, loaded);
    }

    /// @inheritdoc IFreightAdvance
    function gate(Gate calldata form, bytes calldata lenderSignature) external nonReentrant {
        Stored storage a = _getIn(form.advance, AdvanceState.Releasable);
        _requireSigned(a.lender, form.expires, form.hash(), lenderSignature);
        if (!form.open) {
            _void(form.advance, a, form.reason);
            return;
        }
        a.gateOpen = true;
        emit AdvanceGateOpened(form.advance, form.reason);
        (, bool disputed, uint64 accepted, uint64 loaded,) = DELIVERIES.outcomeOf(a.trip);
        // An open gate overrules the lender's own conditions; a dispute is not his to overrule.
        if (!disputed) _release(form.advance, a, accepted, loaded);
    }

    /// @inheritdoc IFreightAdvance
    function expire(AdvanceId advance) external nonReentrant {
        Stored storage a = _get(advance);
        if (a.state == AdvanceState.Approved) {
            TripState trip = DELIVERIES.stateOf(a.trip);
            if (trip == TripState.Void) {
                _void(advance, a, "void");
            } else if (trip != TripState.Delivered && block.timestamp > a.approvedUntil) {
                _void(advance, a, "expired");
            } else {
                revert AdvanceNotExpired(advance);
            }
            return;
        }
        _requireState(advance, a, AdvanceState.Releasable);
        if (block.timestamp <= a.releasableAt + GATE_WAIT) revert AdvanceNotExpired(advance);
        _void(advance, a, "unanswered");
    }

    function _onDelivered(
        AdvanceId advance,
        Stored storage a,
        uint64 accepted,
        uint64 loaded,
        uint256 at,
        bool disputed
    ) private {
        if (at > a.approvedUntil) {
            _void(advance, a, "expired");
            return;
        }
        bytes32 held = _heldBecause(a, accepted, loaded, disputed);
        if (held == 0) {
            _release(advance, a, accepted, loaded);
            return;
        }
        a.state = AdvanceState.Releasable;
        a.releasableAt = uint64(block.timestamp);
        emit AdvanceReleasable(advance, held);
    }

    /// @return why the advance may not be released by itself, 0 if it may.
    function _heldBecause(Stored storage a, uint64 accepted, uint64 loaded, bool disputed)
        private
        view
        returns (bytes32)
    {
        if (disputed) return "dispute";
        if (a.gateOpen) return 0;
        (bool gated, uint16 toleranceBps) = FACILITY.releaseTermsOf(a.line);
        if (gated) return "gate";
        (uint32 version,,,) = WAYBILLS.tripTerms(a.trip);
        if (version != a.leafVersion) return "amended";
        if (uint256(accepted) * BPS < uint256(loaded) * (BPS - toleranceBps)) return "shortage";
        return 0;
    }

    /// @dev Grants what the accepted quantity allows, the driver first, a shortage cutting the last; then pays each apart.
    function _release(AdvanceId advance, Stored storage a, uint64 accepted, uint64 loaded) private {
        uint256 target =
            Math.min(uint256(a.principal) * accepted / loaded, _unencumbered(a.waybill));
        uint256 granted = 0;
        Entry[] storage entries = _entries[advance];
        for (uint256 i = 0; i < entries.length; i++) {
            Entry storage e = entries[i];
            uint256 part =
                Math.min(Math.min(e.amount, target - granted), WAYBILLS.outstanding(e.waybill));
            e.granted = uint64(part);
            granted += part;
        }
        if (granted == 0) {
            _void(advance, a, "nothing");
            return;
        }
        uint32 day = Calendar.today();
        a.state = AdvanceState.Released;
        a.released = uint64(granted);
        emit AdvanceReleased(
            advance, uint128(granted), day, FACILITY.openLoan(advance, a.line, day)
        );
        if (granted < a.principal) {
            FACILITY.voidReserve(a.line, uint128(a.principal - granted));
        }
        _payOpenEntries(advance, a);
    }

    /// @dev What the debtor owes on the waybill beyond the loans that it already secures.
    function _unencumbered(WaybillId waybill) private view returns (uint256) {
        uint256 owed = WAYBILLS.outstanding(waybill);
        AdvanceId[] storage list = _advancesOn[waybill];
        for (uint256 i = 0; i < list.length; i++) {
            Stored storage other = _advances[list[i]];
            // What is granted and not yet paid is secured as what is paid.
            uint256 secured =
                uint256(FACILITY.outstandingOf(list[i])) + other.released - other.drawn;
            owed -= Math.min(owed, secured);
        }
        return owed;
    }

    /// @dev One payee's failure is his alone: it stays claimable through retry, its cash stays reserved.
    function _payOpenEntries(AdvanceId advance, Stored storage a) private {
        if (a.drawn == a.released) {
            revert AdvanceUnexpectedState(advance, a.state, AdvanceState.Releasable);
        }
        Entry[] storage entries = _entries[advance];
        for (uint256 i = 0; i < entries.length; i++) {
            Entry storage e = entries[i];
            if (e.paid || e.granted == 0) continue;
            try this.payPayee(advance, i) {}
            catch (bytes memory reason) {
                emit PayeeFailed(advance, e.party, e.granted, reason);
            }
        }
    }

    /// @inheritdoc IFreightAdvance
    function payPayee(AdvanceId advance, uint256 index) external {
        if (msg.sender != address(this)) revert AdvanceCallerNotAllowed(msg.sender);
        Stored storage a = _advances[advance];
        Entry storage e = _entries[advance][index];
        uint64 amount = e.granted;
        e.paid = true;
        a.drawn += amount;
        bytes32 payout = keccak256(abi.encode(advance, index));
        emit PayeePaid(advance, e.party, e.waybill, amount, payout);
        FACILITY.draw(advance, amount, e.party, e.account, payout);
        WAYBILLS.recordPaid(e.waybill, amount);
    }

    function _void(AdvanceId advance, Stored storage a, bytes32 reason) private {
        a.state = AdvanceState.Voided;
        _pledged[a.fingerprint] = false;
        _advanceOf[a.trip] = NO_ADVANCE;
        _unlist(advance, a.waybill);
        emit AdvanceVoided(advance, reason);
        FACILITY.voidReserve(a.line, a.principal);
        WAYBILLS.release(a.waybill, a.lender);
    }

    // -- repayment --------------------------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function repay(Repayment calldata form, bytes calldata borrowerSignature)
        external
        nonReentrant
    {
        Stored storage a = _get(form.advance);
        _requireOwing(form.advance, a);
        if (form.amount == 0) revert AdvanceFieldInvalid("amount");
        _requireSigned(a.borrower, form.expires, _use(form.hash()), borrowerSignature);
        _settle(form.advance, a, Accounts.ofParty(a.borrower), form.amount);
    }

    /// @inheritdoc IFreightAdvance
    function settle(AdvanceId advance, address from, uint128 amount)
        external
        nonReentrant
        returns (uint128 used)
    {
        if (msg.sender != SETTLEMENT) revert AdvanceCallerNotAllowed(msg.sender);
        Stored storage a = _get(advance);
        return _isOwing(a) ? _settle(advance, a, from, amount) : 0;
    }

    function _settle(AdvanceId advance, Stored storage a, address from, uint128 amount)
        private
        returns (uint128)
    {
        (Waterfall.Shares memory shares, uint128 waived, uint128 outstanding) =
            FACILITY.repay(advance, from, amount);
        bool closes = outstanding == 0 && a.drawn == a.released;
        emit AdvanceRepaid(
            advance,
            shares.fee,
            shares.penalty,
            shares.interest,
            shares.principal,
            closes ? waived : 0,
            outstanding
        );
        if (closes) {
            a.state = AdvanceState.Repaid;
            _unlist(advance, a.waybill);
            emit AdvanceClosed(advance);
            WAYBILLS.release(a.waybill, a.lender);
        }
        return amount - shares.residue;
    }

    // -- the lender's acts on a loan --------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function act(LenderAct calldata form, bytes calldata lenderSignature) external nonReentrant {
        Stored storage a = _get(form.advance);
        _requireSigned(a.lender, form.expires, _use(form.hash()), lenderSignature);
        if (form.act == 1) _default(form.advance, a);
        else if (form.act == 2) _writeOff(form.advance, a);
        else if (form.act == 3) _deferInterest(form.advance, a, form.value);
        else if (form.act == 4) _decline(form.advance, a);
        else if (form.act == 5) _waive(form.advance, a, form.value);
        else revert AdvanceFieldInvalid("act");
    }

    function _default(AdvanceId advance, Stored storage a) private {
        _requireState(advance, a, AdvanceState.Released);
        uint32 day = Calendar.today();
        uint32 from = FACILITY.arrearsFrom(advance);
        if (day < from) revert AdvanceTooEarly(advance, day, from);
        a.state = AdvanceState.Defaulted;
        emit AdvanceDefaulted(advance, day);
        _giveBackUnpaid(a);
    }

    /// @dev A payee who could not be paid all this time is not paid any more: his part returns to the vault.
    function _giveBackUnpaid(Stored storage a) private {
        uint64 unpaid = a.released - a.drawn;
        if (unpaid == 0) return;
        a.released = a.drawn;
        FACILITY.voidReserve(a.line, unpaid);
    }

    function _writeOff(AdvanceId advance, Stored storage a) private {
        _requireState(advance, a, AdvanceState.Defaulted);
        a.state = AdvanceState.WrittenOff;
        emit AdvanceWrittenOff(advance, FACILITY.writeOff(advance));
    }

    function _deferInterest(AdvanceId advance, Stored storage a, uint128 day) private {
        _requireState(advance, a, AdvanceState.Released);
        if (!FACILITY.deferInterest(advance, day)) revert AdvanceFieldInvalid("value");
        emit InterestDeferred(advance, uint32(day));
    }

    function _decline(AdvanceId advance, Stored storage a) private {
        _requireState(advance, a, AdvanceState.Requested);
        a.state = AdvanceState.Declined;
        emit AdvanceDeclined(advance);
    }

    /// @dev Charges only; principal is never waived but written off.
    function _waive(AdvanceId advance, Stored storage a, uint128 amount) private {
        _requireOwing(advance, a);
        if (!FACILITY.waive(advance, amount)) revert AdvanceFieldInvalid("value");
        emit AdvanceRepaid(advance, 0, 0, 0, 0, amount, FACILITY.outstandingOf(advance));
    }

    // -- powers -----------------------------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function pause() external restricted {
        _pause();
    }

    /// @inheritdoc IFreightAdvance
    function unpause() external restricted {
        _unpause();
    }

    // -- reading ----------------------------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function get(AdvanceId advance) external view returns (AdvanceRecord memory) {
        Stored storage a = _advances[advance];
        (uint128 outstanding, uint32 startDay, uint32 dueDay) = FACILITY.scheduleOf(advance);
        return AdvanceRecord({
            line: a.line,
            waybill: a.waybill,
            trip: a.trip,
            borrower: a.borrower,
            lender: a.lender,
            state: a.state,
            principal: a.principal,
            released: a.released,
            outstanding: outstanding,
            approvedUntil: a.approvedUntil,
            startDay: startDay,
            dueDay: dueDay,
            fingerprint: a.fingerprint
        });
    }

    /// @inheritdoc IFreightAdvance
    function payeesOf(AdvanceId advance) external view returns (Payee[] memory payees) {
        Entry[] storage entries = _entries[advance];
        payees = new Payee[](entries.length);
        for (uint256 i = 0; i < payees.length; i++) {
            Entry storage e = entries[i];
            payees[i] =
                Payee({party: e.party, waybill: e.waybill, account: e.account, amount: e.amount});
        }
    }

    /// @inheritdoc IFreightAdvance
    function grantOf(AdvanceId advance, uint256 index)
        external
        view
        returns (uint128 granted, bool consented, bool paid)
    {
        Entry storage e = _entries[advance][index];
        return (e.granted, e.consented, e.paid);
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
    function advancesOn(WaybillId waybill) external view returns (AdvanceId[] memory) {
        return _advancesOn[waybill];
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

    function _unlist(AdvanceId advance, WaybillId waybill) private {
        AdvanceId[] storage list = _advancesOn[waybill];
        uint256 last = list.length - 1;
        bool found = false;
        for (uint256 i = 0; i < last; i++) {
            found = found || list[i] == advance;
            if (found) list[i] = list[i + 1];
        }
        list.pop();
    }

    function _use(bytes32 structHash) private returns (bytes32) {
        if (_used[structHash]) revert AdvanceFormUsed(structHash);
        _used[structHash] = true;
        return structHash;
    }

    function _isOwing(Stored storage a) private view returns (bool) {
        return a.state == AdvanceState.Released || a.state == AdvanceState.Defaulted
            || a.state == AdvanceState.WrittenOff;
    }

    function _get(AdvanceId advance) private view returns (Stored storage a) {
        a = _advances[advance];
        if (a.state == AdvanceState.None) revert AdvanceUnknown(advance);
    }

    function _getIn(AdvanceId advance, AdvanceState wanted)
        private
        view
        returns (Stored storage a)
    {
        a = _get(advance);
        _requireState(advance, a, wanted);
    }

    function _requireState(AdvanceId advance, Stored storage a, AdvanceState wanted) private view {
        if (a.state != wanted) revert AdvanceUnexpectedState(advance, a.state, wanted);
    }

    function _requireOwing(AdvanceId advance, Stored storage a) private view {
        if (!_isOwing(a)) revert AdvanceUnexpectedState(advance, a.state, AdvanceState.Released);
    }

    /// @dev Promise B: in time, and by the present key of the party.
    function _requireSigned(
        PartyId party,
        uint64 expires,
        bytes32 structHash,
        bytes calldata signature
    ) private view {
        if (block.timestamp > expires) {
            revert AdvanceFormExpired(expires, uint64(block.timestamp));
        }
        PARTIES.requireSignature(party, _hashTypedDataV4(structHash), signature);
    }
}
