// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {ICreditFacility} from "./interfaces/ICreditFacility.sol";
import {IDeliveryListener} from "./interfaces/IDeliveryListener.sol";
import {IDeliveryRegistry, TripRecord, Watch} from "./interfaces/IDeliveryRegistry.sol";
import {AdvanceRecord, Due, IFreightAdvance} from "./interfaces/IFreightAdvance.sol";
import {IPartyRegistry} from "./interfaces/IPartyRegistry.sol";
import {ISettlementToken} from "./interfaces/ISettlementToken.sol";
import {IWaybillRegistry, WaybillRecord} from "./interfaces/IWaybillRegistry.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {Accrual} from "./libraries/Accrual.sol";
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
import {CreditLine} from "./types/CreditForms.sol";
import {AdvanceId, LineId, NO_ADVANCE, PartyId, TripId, WaybillId} from "./types/Ids.sol";
import {AdvanceState, TripState, WaybillState} from "./types/States.sol";

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
        // slot: fen
        uint64 principal; // asked and approved
        uint64 released; // granted to the payees at release
        uint64 drawn; // paid to them so far: what the borrower owes stems from this
        uint64 outstanding;
        // slot: fen and days
        uint64 feePaid;
        uint64 penaltyPaid;
        uint64 interestPaid;
        uint32 startDay;
        uint32 dueDay;
        // slots: the accumulator (Accrual.Account) and two instants
        uint128 interestNum;
        uint128 penaltyNum;
        uint128 ceilingNum;
        uint32 accruedTo;
        uint40 approvedUntil;
        uint40 releasableAt;
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
    ISettlementToken private immutable TOKEN;
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
        ISettlementToken token,
        address settlement
    ) EIP712("Yundan", "1") AccessManaged(authority) {
        PARTIES = parties;
        WAYBILLS = waybills;
        DELIVERIES = deliveries;
        FACILITY = facility;
        TOKEN = token;
        SETTLEMENT = settlement;
    }

    // -- request ----------------------------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function request(AdvanceRequest calldata form, bytes calldata borrowerSignature)
        external
        whenNotPaused
        returns (AdvanceId advance)
    {
        _requireInTime(form.expires);
        bytes32 structHash = form.hash();
        advance = AdvanceId.wrap(structHash);
        // The id is the hash of the form, so a form serves once.
        if (_advances[advance].state != AdvanceState.None) revert AdvanceAlreadyRequested(advance);
        (CreditLine memory terms,,,) = FACILITY.get(form.line);
        _store(advance, form, terms);
        PARTIES.requireSignature(terms.borrower, _hashTypedDataV4(structHash), borrowerSignature);
        emit AdvanceRequested(
            advance,
            form.line,
            form.trip,
            form.waybill,
            terms.borrower,
            form.principal,
            form.decision
        );
    }

    function _store(AdvanceId advance, AdvanceRequest calldata form, CreditLine memory terms)
        private
    {
        if (form.principal == 0) revert AdvanceFieldInvalid("principal");
        if (form.fingerprint == 0) revert AdvanceFieldInvalid("fingerprint");
        if (_pledged[form.fingerprint]) revert AdvanceReceivablePledged(form.fingerprint);
        _requireTripFree(form.trip);

        WaybillRecord memory w = WAYBILLS.get(form.waybill);
        if (w.performer != terms.borrower) {
            revert AdvanceBorrowerDiffers(terms.borrower, w.performer);
        }
        if (w.declared) revert AdvanceWaybillNotSigned(form.waybill);
        // The debtor is not the borrower (promise A: nobody stands twice); nor may he be who lends.
        if (w.issuer == terms.lender) revert AdvanceDebtorUnfit(form.waybill, w.issuer);
        WaybillId[] memory chain = WAYBILLS.lineage(form.trip, form.waybill);
        if (chain.length == 0) revert AdvanceFieldInvalid("trip");
        WaybillRecord memory leaf = WAYBILLS.get(chain[0]);
        _requireReceivable(form.principal, w, leaf.quantity, terms.advanceBps);
        _storePayees(advance, form, chain, leaf);

        Stored storage a = _advances[advance];
        a.line = form.line;
        a.waybill = form.waybill;
        a.trip = form.trip;
        a.fingerprint = form.fingerprint;
        a.borrower = terms.borrower;
        a.lender = terms.lender;
        a.debtor = w.issuer;
        a.state = AdvanceState.Requested;
        a.leafVersion = leaf.version;
        a.principal = uint64(form.principal);
    }

    /// @dev Promise D: each payee performs a waybill on the way from the leaf up to the borrower's, so none is the borrower;
    /// the driver is first; nobody is asked for more than his freight for this trip.
    function _storePayees(
        AdvanceId advance,
        AdvanceRequest calldata form,
        WaybillId[] memory chain,
        WaybillRecord memory leaf
    ) private {
        uint256 length = form.payees.length;
        if (length == 0 || length > MAX_PAYEES) revert AdvanceFieldInvalid("payees");
        if (form.payees[0].party != leaf.performer || form.payees[0].waybill != chain[0]) {
            revert AdvanceDriverNotFirst(leaf.performer, form.payees[0].party);
        }
        uint256 sum = 0;
        Entry[] storage entries = _entries[advance];
        for (uint256 i = 0; i < length; i++) {
            Payee calldata payee = form.payees[i];
            _requirePayee(i, payee, chain, leaf.quantity);
            for (uint256 j = 0; j < i; j++) {
                if (form.payees[j].party == payee.party) {
                    revert AdvancePayeeInvalid(i, payee.party);
                }
            }
            sum += payee.amount;
            entries.push(
                Entry({
                    party: payee.party,
                    amount: uint64(payee.amount),
                    granted: 0,
                    consented: false,
                    paid: false,
                    waybill: payee.waybill,
                    account: payee.account
                })
            );
        }
        if (sum != form.principal) revert AdvancePayeesSum(sum, form.principal);
    }

    function _requirePayee(
        uint256 index,
        Payee calldata payee,
        WaybillId[] memory chain,
        uint64 quantity
    ) private view {
        bool inChain = false;
        for (uint256 i = 0; i < chain.length; i++) {
            if (chain[i] == payee.waybill) inChain = true;
        }
        if (!inChain || payee.amount == 0 || payee.account == 0) {
            revert AdvancePayeeInvalid(index, payee.party);
        }
        WaybillRecord memory w = WAYBILLS.get(payee.waybill);
        if (w.performer != payee.party || payee.amount > _shareDown(w, quantity)) {
            revert AdvancePayeeInvalid(index, payee.party);
        }
    }

    /// @dev At most the line's part of what the trip's share of the freight may still come to.
    function _requireReceivable(
        uint256 principal,
        WaybillRecord memory w,
        uint64 quantity,
        uint16 advanceBps
    ) private pure {
        uint256 most = _shareDown(w, quantity) * advanceBps / BPS;
        if (principal > most) revert AdvanceExceedsReceivable(most, principal);
    }

    /// @dev floor(freight x quantity of the trip / quantity of the waybill), at most what is neither paid nor credited.
    function _shareDown(WaybillRecord memory w, uint64 quantity) private pure returns (uint256) {
        uint256 gone = uint256(w.paid) + w.credited;
        uint256 open = w.freight - Math.min(w.freight, gone);
        return Math.min(uint256(w.freight) * quantity / w.quantity, open);
    }

    // -- consent ----------------------------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function acknowledge(Acknowledgement calldata form, bytes calldata debtorSignature) external {
        Stored storage a = _get(form.advance);
        if (a.acknowledged) return; // nothing more to say
        _requireState(form.advance, a, AdvanceState.Requested);
        _requireInTime(form.expires);
        if (form.debtor != a.debtor) revert AdvanceDebtorUnfit(a.waybill, form.debtor);
        if (form.waybill != a.waybill) revert AdvanceFieldInvalid("waybill");
        if (form.trip != a.trip) revert AdvanceFieldInvalid("trip");
        if (form.lender != a.lender) revert AdvanceLenderDiffers(a.lender, form.lender);
        PARTIES.requireSignature(a.debtor, _hashTypedDataV4(form.hash()), debtorSignature);

        a.acknowledged = true;
        emit DebtAcknowledged(form.advance, a.debtor, form.notice);
    }

    /// @inheritdoc IFreightAdvance
    function consent(PayeeConsent calldata form, bytes calldata payeeSignature) external {
        Stored storage a = _get(form.advance);
        Entry[] storage entries = _entries[form.advance];
        for (uint256 i = 0; i < entries.length; i++) {
            if (entries[i].party != form.party) continue;
            if (entries[i].account != form.account) revert AdvancePayeeInvalid(i, form.party);
            if (entries[i].consented) return; // nothing more to say
            _requireState(form.advance, a, AdvanceState.Requested);
            _requireInTime(form.expires);
            PARTIES.requireSignature(form.party, _hashTypedDataV4(form.hash()), payeeSignature);
            entries[i].consented = true;
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
        _requireInTime(form.expires);
        if (form.borrower != a.borrower || form.principal != a.principal) {
            revert AdvanceApprovalDiffers(form.advance);
        }
        if (block.timestamp > form.approvedUntil || form.approvedUntil > type(uint40).max) {
            revert AdvanceApprovalEnded(form.advance, form.approvedUntil);
        }
        _requireReady(form.advance, a);
        PARTIES.requireSignature(a.lender, _hashTypedDataV4(form.hash()), lenderSignature);

        a.state = AdvanceState.Approved;
        a.approvedUntil = uint40(form.approvedUntil);
        _pledged[a.fingerprint] = true;
        _advanceOf[a.trip] = form.advance;
        _advancesOn[a.waybill].push(form.advance);
        emit AdvanceApproved(form.advance, a.lender, form.principal, form.approvedUntil);
        FACILITY.reserve(a.line, form.principal);
        WAYBILLS.pledge(a.waybill, a.lender);
        DELIVERIES.watch(
            a.trip,
            Watch({
                listener: address(this),
                attestor: FACILITY.attestorOf(a.line),
                reviewer: a.lender,
                standIn: a.debtor
            })
        );
    }

    /// @dev What was true at the request is still true, everybody has agreed, and nothing was pledged meanwhile.
    function _requireReady(AdvanceId advance, Stored storage a) private view {
        if (!a.acknowledged) revert AdvanceNotAcknowledged(advance);
        Entry[] storage entries = _entries[advance];
        for (uint256 i = 0; i < entries.length; i++) {
            if (!entries[i].consented) {
                revert AdvancePayeeNotConsented(advance, entries[i].party);
            }
        }
        if (_pledged[a.fingerprint]) revert AdvanceReceivablePledged(a.fingerprint);
        _requireTripFree(a.trip);
        if (_advancesOn[a.waybill].length >= MAX_ADVANCES) {
            revert AdvanceTooMany(a.waybill, MAX_ADVANCES);
        }
        TripState trip = DELIVERIES.stateOf(a.trip);
        if (trip != TripState.Open && trip != TripState.Loaded) revert AdvanceFieldInvalid("trip");
        WaybillRecord memory leaf = WAYBILLS.get(WAYBILLS.leafOf(a.trip));
        if (leaf.version != a.leafVersion) revert AdvanceAmended(advance);
        (CreditLine memory terms,,,) = FACILITY.get(a.line);
        _requireReceivable(a.principal, WAYBILLS.get(a.waybill), leaf.quantity, terms.advanceBps);
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
        TripRecord memory trip = DELIVERIES.get(a.trip);
        if (a.state == AdvanceState.Approved && trip.state == TripState.Delivered) {
            // The listener failed when the delivery completed.
            _onDelivered(advance, a, trip.accepted, trip.loaded, trip.deliveredAt, trip.disputed);
            return;
        }
        _requireState(advance, a, AdvanceState.Releasable);
        bytes32 held = _heldBecause(a, trip.accepted, trip.loaded, trip.disputed);
        if (held == "dispute") revert AdvanceDisputed(advance);
        if (held == "gate") revert AdvanceGateClosed(advance);
        if (held == "amended") revert AdvanceAmended(advance);
        if (held == "shortage") {
            revert AdvanceShortageHeld(advance, trip.accepted, trip.loaded);
        }
        _release(advance, a, trip.accepted, trip.loaded);
    }

    /// @inheritdoc IFreightAdvance
    function gate(Gate calldata form, bytes calldata lenderSignature) external nonReentrant {
        Stored storage a = _getIn(form.advance, AdvanceState.Releasable);
        _requireInTime(form.expires);
        PARTIES.requireSignature(a.lender, _hashTypedDataV4(form.hash()), lenderSignature);
        if (!form.open) {
            _void(form.advance, a, form.reason);
            return;
        }
        a.gateOpen = true;
        emit AdvanceGateOpened(form.advance, form.reason);
        TripRecord memory trip = DELIVERIES.get(a.trip);
        // An open gate overrules the lender's own conditions; a dispute is not his to overrule.
        if (!trip.disputed) _release(form.advance, a, trip.accepted, trip.loaded);
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
        a.releasableAt = uint40(block.timestamp);
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
        (bool gated, uint16 toleranceBps,,) = FACILITY.releaseTermsOf(a.line);
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
            uint256 part = Math.min(entries[i].amount, target - granted);
            part = Math.min(part, WAYBILLS.outstanding(entries[i].waybill));
            entries[i].granted = uint64(part);
            granted += part;
        }
        if (granted == 0) {
            _void(advance, a, "nothing");
            return;
        }
        (,, uint16 tenorDays,) = FACILITY.releaseTermsOf(a.line);
        uint32 day = Calendar.today();
        a.state = AdvanceState.Released;
        a.released = uint64(granted);
        a.startDay = day;
        a.dueDay = day + tenorDays;
        a.accruedTo = day;
        emit AdvanceReleased(advance, uint128(granted), day, a.dueDay);
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
            uint256 secured = uint256(other.outstanding) + other.released - other.drawn;
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
            if (entries[i].paid || entries[i].granted == 0) continue;
            try this.payPayee(advance, i) {}
            catch (bytes memory reason) {
                emit PayeeFailed(advance, entries[i].party, entries[i].granted, reason);
            }
        }
    }

    /// @inheritdoc IFreightAdvance
    function payPayee(AdvanceId advance, uint256 index) external {
        if (msg.sender != address(this)) revert AdvanceCallerNotAllowed(msg.sender);
        Stored storage a = _advances[advance];
        Entry storage e = _entries[advance][index];
        uint64 amount = e.granted;
        _accrue(a, _ratesOf(a));
        e.paid = true;
        a.drawn += amount;
        a.outstanding += amount;
        bytes32 payout = keccak256(abi.encode(advance, index));
        emit PayeePaid(advance, e.party, e.waybill, amount, payout);
        FACILITY.draw(a.line, amount, Accounts.ofParty(e.party));
        TOKEN.queuePayout(e.party, e.account, amount, payout);
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
        if (!_isOwing(a)) {
            revert AdvanceUnexpectedState(form.advance, a.state, AdvanceState.Released);
        }
        _requireInTime(form.expires);
        if (form.amount == 0) revert AdvanceFieldInvalid("amount");
        bytes32 digest = _use(form.hash());
        PARTIES.requireSignature(a.borrower, digest, borrowerSignature);
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
        return _isOwing(a) && amount != 0 ? _settle(advance, a, from, amount) : 0;
    }

    /// @dev Accrues to today, shares the payment, moves exactly what the loan takes.
    function _settle(AdvanceId advance, Stored storage a, address from, uint128 amount)
        private
        returns (uint128 used)
    {
        Accrual.Rates memory rates = _ratesOf(a);
        Accrual.Account memory account = _accrue(a, rates);
        Waterfall.Shares memory shares =
            Waterfall.shared(amount, _debt(a, Accrual.chargedDown(account, rates)));
        used = amount - shares.residue;
        a.feePaid += uint64(shares.fee);
        a.penaltyPaid += uint64(shares.penalty);
        a.interestPaid += uint64(shares.interest);
        a.outstanding -= uint64(shares.principal);
        // Written off, the principal has left the books of the line: what still comes in is income.
        uint128 principal = a.state == AdvanceState.WrittenOff ? 0 : shares.principal;
        bool closes = a.outstanding == 0 && a.drawn == a.released;
        emit AdvanceRepaid(
            advance,
            shares.fee,
            shares.penalty,
            shares.interest,
            shares.principal,
            closes ? Accrual.waivedDown(account, rates) : 0,
            a.outstanding
        );
        if (closes) {
            a.state = AdvanceState.Repaid;
            _unlist(advance, a.waybill);
            emit AdvanceClosed(advance);
            WAYBILLS.release(a.waybill, a.lender);
        }
        TOKEN.move(from, address(FACILITY), used);
        FACILITY.repaid(a.line, principal, used - principal);
    }

    // -- the lender's acts on a loan --------------------------------------------------------------

    /// @inheritdoc IFreightAdvance
    function act(LenderAct calldata form, bytes calldata lenderSignature) external nonReentrant {
        Stored storage a = _get(form.advance);
        _requireInTime(form.expires);
        bytes32 digest = _use(form.hash());
        PARTIES.requireSignature(a.lender, digest, lenderSignature);
        if (form.act == 1) _default(form.advance, a);
        else if (form.act == 2) _writeOff(form.advance, a);
        else if (form.act == 3) _deferInterest(form.advance, a, form.value);
        else if (form.act == 4) _decline(form.advance, a);
        else if (form.act == 5) _waive(form.advance, a, form.value);
        else revert AdvanceFieldInvalid("act");
    }

    function _default(AdvanceId advance, Stored storage a) private {
        _requireState(advance, a, AdvanceState.Released);
        (,,, uint16 graceDays) = FACILITY.releaseTermsOf(a.line);
        uint32 day = Calendar.today();
        uint32 from = a.dueDay + graceDays + 1;
        if (day < from) revert AdvanceTooEarly(advance, day, from);
        a.state = AdvanceState.Defaulted;
        emit AdvanceDefaulted(advance, day);
        _giveBackUnpaid(advance, a);
    }

    /// @dev A payee who could not be paid all this time is not paid any more: his part returns to the vault.
    function _giveBackUnpaid(AdvanceId advance, Stored storage a) private {
        uint64 unpaid = a.released - a.drawn;
        if (unpaid == 0) return;
        a.released = a.drawn;
        Entry[] storage entries = _entries[advance];
        for (uint256 i = 0; i < entries.length; i++) {
            if (!entries[i].paid) entries[i].granted = 0;
        }
        FACILITY.voidReserve(a.line, unpaid);
    }

    function _writeOff(AdvanceId advance, Stored storage a) private {
        _requireState(advance, a, AdvanceState.Defaulted);
        a.state = AdvanceState.WrittenOff;
        emit AdvanceWrittenOff(advance, a.outstanding);
        FACILITY.writtenOff(a.line, a.outstanding);
    }

    function _deferInterest(AdvanceId advance, Stored storage a, uint128 day) private {
        _requireState(advance, a, AdvanceState.Released);
        // Only before the first day is counted, and only in the borrower's favour.
        if (a.accruedTo != a.startDay || day <= a.startDay || day > a.dueDay) {
            revert AdvanceFieldInvalid("value");
        }
        a.startDay = uint32(day);
        a.accruedTo = uint32(day);
        emit InterestDeferred(advance, uint32(day));
    }

    function _decline(AdvanceId advance, Stored storage a) private {
        _requireState(advance, a, AdvanceState.Requested);
        a.state = AdvanceState.Declined;
        emit AdvanceDeclined(advance);
    }

    /// @dev Gives up charges that are due, in the order in which a payment would meet them; never principal.
    function _waive(AdvanceId advance, Stored storage a, uint128 amount) private {
        if (!_isOwing(a)) revert AdvanceUnexpectedState(advance, a.state, AdvanceState.Released);
        Accrual.Rates memory rates = _ratesOf(a);
        Waterfall.Debt memory debt = _debt(a, Accrual.chargedDown(_accrue(a, rates), rates));
        debt.principal = 0;
        Waterfall.Shares memory shares = Waterfall.shared(amount, debt);
        if (amount == 0 || shares.residue != 0) revert AdvanceFieldInvalid("value");
        a.feePaid += uint64(shares.fee);
        a.penaltyPaid += uint64(shares.penalty);
        a.interestPaid += uint64(shares.interest);
        emit AdvanceRepaid(advance, 0, 0, 0, 0, amount, a.outstanding);
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
        return AdvanceRecord({
            line: a.line,
            waybill: a.waybill,
            trip: a.trip,
            borrower: a.borrower,
            lender: a.lender,
            state: a.state,
            principal: a.principal,
            released: a.released,
            outstanding: a.outstanding,
            approvedUntil: a.approvedUntil,
            startDay: a.startDay,
            dueDay: a.dueDay,
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
        Stored storage a = _advances[advance];
        if (!_isOwing(a)) return Due({principal: 0, fee: 0, penalty: 0, interest: 0});
        Accrual.Rates memory rates = _ratesOf(a);
        Accrual.Account memory account = Accrual.accrued(_accountOf(a), rates, a.outstanding, day);
        Waterfall.Debt memory debt = _debt(a, Accrual.chargedDown(account, rates));
        return Due({
            principal: debt.principal, fee: debt.fee, penalty: debt.penalty, interest: debt.interest
        });
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
    function owingOn(WaybillId waybill) external view returns (AdvanceId[] memory owing) {
        AdvanceId[] storage list = _advancesOn[waybill];
        uint256 count = 0;
        for (uint256 i = 0; i < list.length; i++) {
            if (_advances[list[i]].outstanding != 0) count++;
        }
        owing = new AdvanceId[](count);
        for (uint256 i = list.length; count != 0; i--) {
            if (_advances[list[i - 1]].outstanding != 0) owing[--count] = list[i - 1];
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

    function _accrue(Stored storage a, Accrual.Rates memory rates)
        private
        returns (Accrual.Account memory account)
    {
        account = _accountOf(a);
        uint32 day = Calendar.today();
        if (day <= account.accruedTo) return account;
        account = Accrual.accrued(account, rates, a.outstanding, day);
        a.interestNum = account.interestNum;
        a.penaltyNum = account.penaltyNum;
        a.ceilingNum = account.ceilingNum;
        a.accruedTo = account.accruedTo;
    }

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

    function _use(bytes32 structHash) private returns (bytes32 digest) {
        digest = _hashTypedDataV4(structHash);
        if (_used[digest]) revert AdvanceFormUsed(digest);
        _used[digest] = true;
    }

    function _accountOf(Stored storage a) private view returns (Accrual.Account memory) {
        return Accrual.Account({
            interestNum: a.interestNum,
            penaltyNum: a.penaltyNum,
            ceilingNum: a.ceilingNum,
            accruedTo: a.accruedTo
        });
    }

    /// @dev The terms of a line never change, so reading them now is reading them at release.
    function _ratesOf(Stored storage a) private view returns (Accrual.Rates memory) {
        (uint32 ratePpm, uint32 penaltyPpm, uint32 ceilingPpm, uint16 feeBps) =
            FACILITY.ratesOf(a.line);
        (,,, uint16 graceDays) = FACILITY.releaseTermsOf(a.line);
        return Accrual.Rates({
            ratePpm: ratePpm,
            penaltyPpm: penaltyPpm,
            ceilingPpm: ceilingPpm,
            penaltyFrom: a.dueDay + graceDays,
            fee: uint128(uint256(a.drawn) * feeBps / BPS)
        });
    }

    function _debt(Stored storage a, Accrual.Charges memory charges)
        private
        view
        returns (Waterfall.Debt memory)
    {
        return Waterfall.Debt({
            fee: charges.fee - a.feePaid,
            penalty: charges.penalty - a.penaltyPaid,
            interest: charges.interest - a.interestPaid,
            principal: a.outstanding
        });
    }

    function _isOwing(Stored storage a) private view returns (bool) {
        return a.state == AdvanceState.Released || a.state == AdvanceState.Defaulted
            || a.state == AdvanceState.WrittenOff;
    }

    function _requireTripFree(TripId trip) private view {
        if (_advanceOf[trip] != NO_ADVANCE) revert AdvanceTripTaken(trip);
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

    function _requireInTime(uint64 expires) private view {
        if (block.timestamp > expires) {
            revert AdvanceFormExpired(expires, uint64(block.timestamp));
        }
    }
}
