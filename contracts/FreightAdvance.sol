// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {AdvanceBook} from "./AdvanceBook.sol";
import {ICreditFacility} from "./interfaces/ICreditFacility.sol";
import {IDeliveryListener} from "./interfaces/IDeliveryListener.sol";
import {IDeliveryRegistry, Watch} from "./interfaces/IDeliveryRegistry.sol";
import {IFreightAdvance} from "./interfaces/IFreightAdvance.sol";
import {IPartyRegistry} from "./interfaces/IPartyRegistry.sol";
import {IWaybillRegistry} from "./interfaces/IWaybillRegistry.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {AdvanceHash} from "./libraries/AdvanceHash.sol";
import {AdvanceTerms} from "./libraries/AdvanceTerms.sol";
import {Calendar} from "./libraries/Calendar.sol";
import {Moves} from "./libraries/Moves.sol";
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
/// @notice Promises D, F, H, J, K and L. The manual is IFreightAdvance; what is stored stands in AdvanceBook.
contract FreightAdvance is
    IFreightAdvance,
    EIP712,
    AccessManaged,
    Pausable,
    ReentrancyGuard,
    AdvanceBook
{
    using AdvanceHash for *;

    // -- bounds and neighbours --------------------------------------------------------------------

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
    address private immutable SETTLEMENT;

    mapping(bytes32 digest => bool) private _used;

    constructor(
        address authority,
        IPartyRegistry parties,
        IWaybillRegistry waybills,
        IDeliveryRegistry deliveries,
        ICreditFacility facility,
        address settlement
    ) EIP712("Yundan", "1") AccessManaged(authority) AdvanceBook(facility) {
        PARTIES = parties;
        WAYBILLS = waybills;
        DELIVERIES = deliveries;
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
        AdvanceTerms.Terms memory t = _checked(form);
        _requireSigned(t.borrower, form.expires, structHash, borrowerSignature);
        Stored storage a = _advances[advance];
        a.terms = AdvanceTerms.stored(t);
        _move(a, AdvanceState.Requested);
        emit AdvanceRequested(
            advance, form.line, form.trip, form.waybill, t.borrower, form.principal, form.decision
        );
    }

    function _checked(AdvanceRequest calldata form)
        private
        view
        returns (AdvanceTerms.Terms memory t)
    {
        if (form.principal == 0) _invalid("principal");
        if (form.fingerprint == 0) _invalid("fingerprint");
        _requireUnpledged(form.fingerprint, form.trip);
        t.line = form.line;
        t.waybill = form.waybill;
        t.trip = form.trip;
        t.fingerprint = form.fingerprint;
        t.payees = form.payees;
        Standing memory now_ = _standingOf(t);
        (t.lender, t.borrower) = (now_.lender, now_.borrower);
        (t.debtor, t.leafVersion) = (now_.debtor, now_.leafVersion);
        if (now_.creditor != t.borrower) revert AdvanceBorrowerDiffers(t.borrower, now_.creditor);
        if (now_.declared) revert AdvanceWaybillNotSigned(form.waybill);
        // The debtor is not the borrower (promise A: nobody stands twice); nor may he be who lends.
        if (t.debtor == t.lender) _debtorUnfit(form.waybill, t.debtor);
        if (t.leafVersion == 0) _invalid("trip");
        _requireWithin(now_.most, form.principal);
        t.principal = uint64(form.principal);
        _requirePayees(t);
    }

    /// @dev Promise D: each payee performs a waybill on the way from the leaf up to the borrower's, so none is the borrower;
    /// the driver is first; nobody is asked for more than his freight for this trip, nor named twice.
    function _requirePayees(AdvanceTerms.Terms memory t) private view {
        Payee[] memory payees = t.payees;
        if (payees.length == 0 || payees.length > MAX_PAYEES) _invalid("payees");
        if (payees[0].waybill != WAYBILLS.leafOf(t.trip)) {
            revert AdvanceDriverNotFirst(t.trip, payees[0].party);
        }
        uint256 sum = 0;
        for (uint256 i = 0; i < payees.length; i++) {
            Payee memory payee = payees[i];
            uint128 most = WAYBILLS.payableTo(payee.party, payee.waybill, t.trip, t.waybill);
            bool valid = payee.amount != 0 && payee.amount <= most && payee.account != 0;
            for (uint256 j = 0; j < i; j++) {
                if (payees[j].party == payee.party) valid = false;
            }
            if (!valid) _payeeInvalid(i, payee.party);
            sum += payee.amount;
        }
        if (sum != t.principal) revert AdvancePayeesSum(sum, t.principal);
    }

    /// @dev What line and waybill say now, asked for at the request and again at the approval.
    struct Standing {
        PartyId lender;
        PartyId borrower;
        PartyId attestor;
        PartyId debtor;
        PartyId creditor;
        bool declared;
        uint32 leafVersion;
        uint256 most; // the line's part of what the trip's share of the freight may still come to
    }

    function _standingOf(AdvanceTerms.Terms memory t) private view returns (Standing memory s) {
        uint256 advanceBps;
        (s.lender, s.borrower, s.attestor, advanceBps) = FACILITY.standingOf(t.line);
        (s.debtor, s.creditor, s.declared, s.leafVersion, s.most) =
            WAYBILLS.receivableOf(t.waybill, t.trip);
        s.most = s.most * advanceBps / BPS;
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
        AdvanceTerms.Terms memory t = _termsOf(a);
        if (form.debtor != t.debtor) _debtorUnfit(t.waybill, form.debtor);
        if (form.waybill != t.waybill) _invalid("waybill");
        if (form.trip != t.trip) _invalid("trip");
        if (form.lender != t.lender) revert AdvanceLenderDiffers(t.lender, form.lender);
        _requireSigned(t.debtor, form.expires, form.hash(), debtorSignature);

        a.acknowledged = true;
        emit DebtAcknowledged(form.advance, t.debtor, form.notice);
    }

    /// @inheritdoc IFreightAdvance
    function consent(PayeeConsent calldata form, bytes calldata payeeSignature) external {
        Stored storage a = _get(form.advance);
        Payee[] memory payees = _termsOf(a).payees;
        for (uint256 i = 0; i < payees.length; i++) {
            if (payees[i].party != form.party) continue;
            if (payees[i].account != form.account) _payeeInvalid(i, form.party);
            if (_isIn(a.consented, i)) return; // nothing more to say
            _requireState(form.advance, a, AdvanceState.Requested);
            _requireSigned(form.party, form.expires, form.hash(), payeeSignature);
            a.consented |= _bit(i);
            emit PayeeConsented(form.advance, form.party, form.account);
            return;
        }
        _payeeInvalid(payees.length, form.party);
    }

    // -- approval ---------------------------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function approve(Approval calldata form, bytes calldata lenderSignature)
        external
        whenNotPaused
        nonReentrant
    {
        Stored storage a = _getIn(form.advance, AdvanceState.Requested);
        AdvanceTerms.Terms memory t = _termsOf(a);
        if (form.borrower != t.borrower || form.principal != t.principal) {
            revert AdvanceApprovalDiffers(form.advance);
        }
        if (block.timestamp > form.approvedUntil) {
            revert AdvanceApprovalEnded(form.advance, form.approvedUntil);
        }
        if (form.approvedUntil > type(uint48).max) _invalid("approvedUntil");
        PartyId attestor = _requireReady(form.advance, a, t);
        _requireSigned(t.lender, form.expires, form.hash(), lenderSignature);
        _approve(form.advance, a, t, attestor, uint48(form.approvedUntil));
    }

    /// @inheritdoc IFreightAdvance
    function approveByRule(AdvanceId advance) external whenNotPaused nonReentrant {
        Stored storage a = _getIn(advance, AdvanceState.Requested);
        AdvanceTerms.Terms memory t = _termsOf(a);
        PartyId attestor = _requireReady(advance, a, t);
        uint64 until = FACILITY.approvedByRule(t.line, t.debtor, t.principal);
        _approve(advance, a, t, attestor, uint48(until));
    }

    function _approve(
        AdvanceId advance,
        Stored storage a,
        AdvanceTerms.Terms memory t,
        PartyId attestor,
        uint48 until
    ) private {
        _move(a, AdvanceState.Approved);
        a.approvedUntil = until;
        _pledged[t.fingerprint] = true;
        _advanceOf[t.trip] = advance;
        _list(advance, t.waybill);
        emit AdvanceApproved(advance, t.lender, t.principal, until);
        FACILITY.reserve(t.line, t.principal);
        WAYBILLS.pledge(t.waybill, t.lender);
        DELIVERIES.watch(
            t.trip,
            Watch({
                listener: address(this), attestor: attestor, reviewer: t.lender, standIn: t.debtor
            })
        );
    }

    /// @dev What was true at the request is still true, everybody has agreed, and nothing was pledged meanwhile.
    /// @return attestor the one whom the lender chose in the line's terms.
    function _requireReady(AdvanceId advance, Stored storage a, AdvanceTerms.Terms memory t)
        private
        view
        returns (PartyId attestor)
    {
        if (!a.acknowledged) revert AdvanceNotAcknowledged(advance);
        for (uint256 i = 0; i < t.payees.length; i++) {
            if (!_isIn(a.consented, i)) {
                revert AdvancePayeeNotConsented(advance, t.payees[i].party);
            }
        }
        _requireUnpledged(t.fingerprint, t.trip);
        TripState trip = DELIVERIES.stateOf(t.trip);
        if (trip != TripState.Open && trip != TripState.Loaded) _invalid("trip");
        Standing memory now_ = _standingOf(t);
        if (now_.leafVersion != t.leafVersion) revert AdvanceAmended(advance);
        _requireWithin(now_.most, t.principal);
        return now_.attestor;
    }

    // -- release ----------------------------------------------------------------------------------

    /// @inheritdoc IDeliveryListener
    function onDelivered(TripId trip, uint64 accepted, uint64 loaded, uint64)
        external
        nonReentrant
    {
        _only(address(DELIVERIES));
        AdvanceId advance = _advanceOf[trip];
        Stored storage a = _advances[advance];
        if (a.state != AdvanceState.Approved) return;
        // A disputed trip does not complete, so there is no dispute to ask for here.
        AdvanceTerms.Terms memory t = _termsOf(a);
        _onDelivered(advance, a, t, accepted, loaded, block.timestamp, false);
    }

    /// @inheritdoc IFreightAdvance
    function retry(AdvanceId advance) external nonReentrant {
        Stored storage a = _get(advance);
        AdvanceTerms.Terms memory t = _termsOf(a);
        if (a.state == AdvanceState.Released) {
            _payAgain(advance, a, t);
            return;
        }
        (TripState trip, bool disputed, uint64 accepted, uint64 loaded, uint64 at) =
            DELIVERIES.outcomeOf(t.trip);
        if (a.state == AdvanceState.Approved && trip == TripState.Delivered) {
            // The listener failed when the delivery completed.
            _onDelivered(advance, a, t, accepted, loaded, at, disputed);
            return;
        }
        _requireState(advance, a, AdvanceState.Releasable);
        bytes32 held = _heldBecause(a, t, accepted, loaded, disputed);
        if (held == "dispute") revert AdvanceDisputed(advance);
        if (held == "gate") revert AdvanceGateClosed(advance);
        if (held == "amended") revert AdvanceAmended(advance);
        if (held == "shortage") revert AdvanceShortageHeld(advance, accepted, loaded);
        _release(advance, a, t, accepted, loaded);
    }

    /// @inheritdoc IFreightAdvance
    function gate(Gate calldata form, bytes calldata lenderSignature) external nonReentrant {
        Stored storage a = _getIn(form.advance, AdvanceState.Releasable);
        AdvanceTerms.Terms memory t = _termsOf(a);
        _requireSigned(t.lender, form.expires, form.hash(), lenderSignature);
        if (!form.open) {
            _void(form.advance, a, t, form.reason);
            return;
        }
        if (!a.gateOpen) {
            a.gateOpen = true;
            emit AdvanceGateOpened(form.advance, form.reason);
        }
        (, bool disputed, uint64 accepted, uint64 loaded,) = DELIVERIES.outcomeOf(t.trip);
        // An open gate overrules the lender's own conditions; a dispute is not his to overrule.
        if (!disputed) _release(form.advance, a, t, accepted, loaded);
    }

    /// @inheritdoc IFreightAdvance
    function expire(AdvanceId advance) external nonReentrant {
        Stored storage a = _get(advance);
        AdvanceTerms.Terms memory t = _termsOf(a);
        if (a.state == AdvanceState.Approved) {
            TripState trip = DELIVERIES.stateOf(t.trip);
            if (trip == TripState.Void) {
                _void(advance, a, t, "void");
            } else if (trip != TripState.Delivered && block.timestamp > a.approvedUntil) {
                _void(advance, a, t, "expired");
            } else {
                _notExpired(advance);
            }
            return;
        }
        _requireState(advance, a, AdvanceState.Releasable);
        if (block.timestamp <= a.releasableAt + GATE_WAIT) _notExpired(advance);
        _void(advance, a, t, "unanswered");
    }

    function _onDelivered(
        AdvanceId advance,
        Stored storage a,
        AdvanceTerms.Terms memory t,
        uint64 accepted,
        uint64 loaded,
        uint256 at,
        bool disputed
    ) private {
        if (at > a.approvedUntil) {
            _void(advance, a, t, "expired");
            return;
        }
        bytes32 held = _heldBecause(a, t, accepted, loaded, disputed);
        if (held == 0) {
            _release(advance, a, t, accepted, loaded);
            return;
        }
        _move(a, AdvanceState.Releasable);
        a.releasableAt = uint48(block.timestamp);
        emit AdvanceReleasable(advance, held);
    }

    /// @return why the advance may not be released by itself, 0 if it may.
    function _heldBecause(
        Stored storage a,
        AdvanceTerms.Terms memory t,
        uint64 accepted,
        uint64 loaded,
        bool disputed
    ) private view returns (bytes32) {
        if (disputed) return "dispute";
        if (a.gateOpen) return 0;
        (bool gated, uint16 toleranceBps) = FACILITY.releaseTermsOf(t.line);
        if (gated) return "gate";
        (uint32 version,) = WAYBILLS.vehicleOf(t.trip);
        if (version != t.leafVersion) return "amended";
        if (uint256(accepted) * BPS < uint256(loaded) * (BPS - toleranceBps)) return "shortage";
        return 0;
    }

    /// @dev Grants what the accepted quantity allows, the driver first, a shortage cutting the last; then pays each apart.
    function _release(
        AdvanceId advance,
        Stored storage a,
        AdvanceTerms.Terms memory t,
        uint64 accepted,
        uint64 loaded
    ) private {
        uint256 granted = _grant(advance, a, t, accepted, loaded);
        if (granted == 0) {
            _void(advance, a, t, "nothing");
            return;
        }
        uint32 day = Calendar.today();
        _move(a, AdvanceState.Released);
        emit AdvanceReleased(
            advance, uint128(granted), day, FACILITY.openLoan(advance, t.line, day)
        );
        if (granted < t.principal) {
            _giveBack(t.line, uint128(t.principal - granted));
        }
        uint64 unpaid = uint64(granted) - _payEach(advance, a, t.payees);
        // Known only after the payees were tried; every door that moves an advance by it is `nonReentrant`.
        // slither-disable-next-line reentrancy-no-eth
        if (unpaid != 0) a.unpaid = unpaid;
    }

    /// @return granted the sum of what each payee is granted.
    function _grant(
        AdvanceId advance,
        Stored storage a,
        AdvanceTerms.Terms memory t,
        uint64 accepted,
        uint64 loaded
    ) private returns (uint256 granted) {
        uint256 target = Math.min(
            uint256(t.principal) * accepted / loaded, _unencumbered(t.waybill)
        );
        uint256[] memory parts = new uint256[](t.payees.length);
        for (uint256 i = 0; i < parts.length; i++) {
            Payee memory p = t.payees[i];
            parts[i] = Math.min(Math.min(p.amount, target - granted), _owedOn(p.waybill));
            granted += parts[i];
        }
        if (granted == t.principal) return granted;
        a.cut = true;
        for (uint256 i = 0; i < parts.length; i++) {
            _grants[advance][i] = uint64(parts[i]);
        }
    }

    /// @dev What the debtor owes on the waybill beyond the loans that it already secures.
    function _unencumbered(WaybillId waybill) private view returns (uint256) {
        uint256 owed = _owedOn(waybill);
        mapping(uint256 place => AdvanceId) storage list = _advancesOn[waybill];
        for (uint256 i = 0; list[i] != NO_ADVANCE; i++) {
            // What is granted and not yet paid is secured as what is paid.
            uint256 secured = uint256(FACILITY.outstandingOf(list[i])) + _advances[list[i]].unpaid;
            owed -= Math.min(owed, secured);
        }
        return owed;
    }

    function _payAgain(AdvanceId advance, Stored storage a, AdvanceTerms.Terms memory t) private {
        uint64 unpaid = a.unpaid;
        if (unpaid == 0) _requireState(advance, a, AdvanceState.Releasable); // it is Released
        a.unpaid = unpaid - _payEach(advance, a, t.payees);
    }

    /// @dev One payee's failure is his alone: it stays claimable through retry, its cash stays reserved.
    /// @return done what was paid now.
    function _payEach(AdvanceId advance, Stored storage a, Payee[] memory payees)
        private
        returns (uint64 done)
    {
        for (uint256 i = 0; i < payees.length; i++) {
            uint64 amount = _grantOf(advance, a, i, payees[i].amount);
            if (_isIn(a.paid, i) || amount == 0) continue;
            try this.payPayee(advance, i) {
                done += amount;
            } catch (bytes memory reason) {
                emit PayeeFailed(advance, payees[i].party, amount, reason);
            }
        }
    }

    /// @inheritdoc IFreightAdvance
    function payPayee(AdvanceId advance, uint256 index) external {
        _only(address(this));
        Stored storage a = _advances[advance];
        Payee memory p = _termsOf(a).payees[index];
        uint64 amount = _grantOf(advance, a, index, p.amount);
        a.paid |= _bit(index);
        bytes32 payout = keccak256(abi.encode(advance, index));
        emit PayeePaid(advance, p.party, p.waybill, amount, payout);
        FACILITY.draw(advance, amount, p.party, p.account, payout);
        WAYBILLS.recordPaid(p.waybill, amount);
    }

    function _void(AdvanceId advance, Stored storage a, AdvanceTerms.Terms memory t, bytes32 reason)
        private
    {
        _move(a, AdvanceState.Voided);
        _pledged[t.fingerprint] = false;
        _advanceOf[t.trip] = NO_ADVANCE;
        emit AdvanceVoided(advance, reason);
        _giveBack(t.line, t.principal);
        _unlist(advance, t.waybill, t.lender);
    }

    // -- repayment --------------------------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function repay(Repayment calldata form, bytes calldata borrowerSignature)
        external
        nonReentrant
    {
        Stored storage a = _get(form.advance);
        _requireOwing(form.advance, a);
        if (form.amount == 0) _invalid("amount");
        AdvanceTerms.Terms memory t = _termsOf(a);
        _requireSigned(t.borrower, form.expires, _use(form.hash()), borrowerSignature);
        _settle(form.advance, a, Accounts.ofParty(t.borrower), form.amount);
    }

    /// @inheritdoc IFreightAdvance
    function settle(AdvanceId advance, address from, uint128 amount)
        external
        nonReentrant
        returns (uint128 used)
    {
        _only(SETTLEMENT);
        Stored storage a = _get(advance);
        return _isOwing(a) ? _settle(advance, a, from, amount) : 0;
    }

    function _settle(AdvanceId advance, Stored storage a, address from, uint128 amount)
        private
        returns (uint128)
    {
        bool whole = a.unpaid == 0;
        (Waterfall.Shares memory shares, uint128 waived, uint128 outstanding) =
            FACILITY.repay(advance, from, amount, whole);
        bool closes = outstanding == 0 && whole;
        _tellRepaid(advance, shares, closes ? waived : 0, outstanding);
        if (closes) {
            _move(a, AdvanceState.Repaid);
            emit AdvanceClosed(advance);
            AdvanceTerms.Terms memory t = _termsOf(a);
            _unlist(advance, t.waybill, t.lender);
        }
        return amount - shares.residue;
    }

    // -- the lender's acts on a loan --------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function act(LenderAct calldata form, bytes calldata lenderSignature) external nonReentrant {
        Stored storage a = _get(form.advance);
        AdvanceTerms.Terms memory t = _termsOf(a);
        _requireSigned(t.lender, form.expires, _use(form.hash()), lenderSignature);
        if (form.act == 1) _default(form.advance, a, t.line);
        else if (form.act == 2) _writeOff(form.advance, a);
        else if (form.act == 4) _decline(form.advance, a);
        else if (form.act == 0 || form.act > 6) _invalid("act");
        else _concede(form.advance, a, form.act, form.value);
    }

    function _default(AdvanceId advance, Stored storage a, LineId line) private {
        _requireState(advance, a, AdvanceState.Released);
        uint32 day = Calendar.today();
        uint32 from = FACILITY.arrearsFrom(advance);
        if (day < from) revert AdvanceTooEarly(advance, day, from);
        _move(a, AdvanceState.Defaulted);
        emit AdvanceDefaulted(advance, day);
        // A payee who could not be paid all this time is not paid any more: his part returns to the vault.
        uint64 unpaid = a.unpaid;
        if (unpaid == 0) return;
        a.unpaid = 0;
        _giveBack(line, unpaid);
    }

    function _writeOff(AdvanceId advance, Stored storage a) private {
        _requireState(advance, a, AdvanceState.Defaulted);
        _move(a, AdvanceState.WrittenOff);
        emit AdvanceWrittenOff(advance, FACILITY.writeOff(advance));
    }

    /// @dev In the borrower's favour alone: a later first day of interest (3), charges given up (5; never principal, that is
    /// a write-off), a later due day (6).
    function _concede(AdvanceId advance, Stored storage a, uint8 what, uint128 value) private {
        if (what == 5) _requireOwing(advance, a);
        else _requireState(advance, a, AdvanceState.Released);
        if (!FACILITY.concede(advance, what, value)) _invalid("value");
        if (what == 5) {
            Waterfall.Shares memory nothing;
            _tellRepaid(advance, nothing, value, FACILITY.outstandingOf(advance));
        } else if (what == 3) {
            emit InterestDeferred(advance, uint32(value));
        } else {
            emit AdvanceExtended(advance, uint32(value));
        }
    }

    function _decline(AdvanceId advance, Stored storage a) private {
        _requireState(advance, a, AdvanceState.Requested);
        _move(a, AdvanceState.Declined);
        emit AdvanceDeclined(advance);
    }

    function _tellRepaid(
        AdvanceId advance,
        Waterfall.Shares memory shares,
        uint128 waived,
        uint128 outstanding
    ) private {
        emit AdvanceRepaid(
            advance,
            shares.fee,
            shares.penalty,
            shares.interest,
            shares.principal,
            waived,
            outstanding
        );
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

    // -- inside -----------------------------------------------------------------------------------

    function _list(AdvanceId advance, WaybillId waybill) private {
        mapping(uint256 place => AdvanceId) storage list = _advancesOn[waybill];
        uint256 place = 0;
        while (list[place] != NO_ADVANCE) {
            place++;
        }
        if (place >= MAX_ADVANCES) revert AdvanceTooMany(waybill, MAX_ADVANCES);
        list[place] = advance;
    }

    /// @dev The others move up; with the last one the waybill is free.
    function _unlist(AdvanceId advance, WaybillId waybill, PartyId lender) private {
        mapping(uint256 place => AdvanceId) storage list = _advancesOn[waybill];
        bool found = false;
        for (uint256 i = 0; list[i] != NO_ADVANCE; i++) {
            found = found || list[i] == advance;
            if (found) list[i] = list[i + 1];
        }
        if (list[0] == NO_ADVANCE) WAYBILLS.release(waybill, lender);
    }

    /// @dev Errors that many places throw are thrown here, so that the contract keeps within the size of EIP-170.
    function _invalid(bytes32 field) private pure {
        revert AdvanceFieldInvalid(field);
    }

    function _requireWithin(uint256 most, uint256 principal) private pure {
        if (principal > most) revert AdvanceExceedsReceivable(most, principal);
    }

    function _debtorUnfit(WaybillId waybill, PartyId debtor) private pure {
        revert AdvanceDebtorUnfit(waybill, debtor);
    }

    function _payeeInvalid(uint256 index, PartyId payee) private pure {
        revert AdvancePayeeInvalid(index, payee);
    }

    function _notExpired(AdvanceId advance) private pure {
        revert AdvanceNotExpired(advance);
    }

    function _only(address caller) private view {
        if (msg.sender != caller) revert AdvanceCallerNotAllowed(msg.sender);
    }

    /// @dev The only place where a state moves.
    function _move(Stored storage a, AdvanceState to) private {
        assert(Moves.advance(a.state, to));
        a.state = to;
    }

    function _giveBack(LineId line, uint128 amount) private {
        FACILITY.voidReserve(line, amount);
    }

    function _owedOn(WaybillId waybill) private view returns (uint256) {
        return WAYBILLS.outstanding(waybill);
    }

    function _use(bytes32 structHash) private returns (bytes32) {
        if (_used[structHash]) revert AdvanceFormUsed(structHash);
        _used[structHash] = true;
        return structHash;
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
