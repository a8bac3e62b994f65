// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {ICreditFacility, LoanRecord} from "./interfaces/ICreditFacility.sol";
import {IPartyRegistry} from "./interfaces/IPartyRegistry.sol";
import {ISettlementToken} from "./interfaces/ISettlementToken.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {Accrual} from "./libraries/Accrual.sol";
import {Calendar} from "./libraries/Calendar.sol";
import {CreditHash} from "./libraries/CreditHash.sol";
import {Waterfall} from "./libraries/Waterfall.sol";
import {ApprovalRule, CreditLine, Due, LineChange, VaultMove} from "./types/CreditForms.sol";
import {AdvanceId, LineId, NOBODY, PartyId} from "./types/Ids.sol";

/// @title Lenders' lines, vaults and the loans drawn on them
/// @notice Promises E and H. Knows nothing of waybills. The manual is ICreditFacility.
contract CreditFacility is ICreditFacility, EIP712 {
    using CreditHash for *;

    // -- what is stored ---------------------------------------------------------------------------

    /// @dev `terms` never changes; what moves stands beside it.
    struct Line {
        CreditLine terms;
        uint128 limit;
        uint64 validUntil;
        bool frozen;
        uint32 number;
        // slot
        uint128 reserved;
        uint128 drawn;
    }

    /// @dev Packed by slot; a loan that is repaid at once writes two. Amounts fit 64 bits because a limit is below 2^53.
    struct Loan {
        // slot: fen
        uint64 outstanding;
        uint64 drawn;
        uint64 feePaid;
        uint64 penaltyPaid;
        // slot
        uint64 interestPaid;
        uint32 startDay;
        uint32 dueDay;
        uint32 accruedTo;
        uint32 line; // its number
        bool writtenOff;
        bool closed; // repaid in full: nothing accrues or is due any more, and the numerators are left as they were
        // slots: numerators, see Accrual.Account
        uint128 interestNum;
        uint128 penaltyNum;
        uint128 ceilingNum;
    }

    /// @dev One slot; see ApprovalRule.
    struct Rule {
        PartyId debtor;
        uint64 most;
        uint64 until;
        uint32 validFor;
    }

    uint256 private constant PPM = 1_000_000;
    uint256 private constant BPS = 10_000;
    uint256 private constant MAX_DAYS = 3650;
    /// @dev Largest limit: what JSON carries exactly.
    uint256 private constant MAX_LIMIT = 2 ** 53 - 1;

    IPartyRegistry private immutable PARTIES;
    ISettlementToken private immutable TOKEN;
    address private immutable ADVANCE;

    mapping(LineId line => Line) private _lines;
    /// @dev A loan keeps its line's number, which takes less room than the id. From 1.
    mapping(uint32 number => LineId) private _lineOf;
    uint32 private _lineCount;
    /// @dev Cash of a lender that is not reserved; reserved cash lies with the line. Both on this contract's token account.
    mapping(PartyId lender => uint128) private _cash;
    mapping(AdvanceId loan => Loan) private _loans;
    mapping(LineId line => Rule) private _rules;
    mapping(bytes32 digest => bool) private _used;

    constructor(IPartyRegistry parties, ISettlementToken token, address advance)
        EIP712("Yundan", "1")
    {
        PARTIES = parties;
        TOKEN = token;
        ADVANCE = advance;
    }

    modifier onlyAdvance() {
        if (msg.sender != ADVANCE) revert CreditCallerNotAllowed(msg.sender);
        _;
    }

    // -- lines ------------------------------------------------------------------------------------

    /// @inheritdoc ICreditFacility
    function openLine(
        CreditLine calldata form,
        bytes calldata lenderSignature,
        bytes calldata borrowerSignature
    ) external returns (LineId line) {
        _requireInTime(form.expires);
        _requireFields(form);
        bytes32 structHash = form.hash();
        line = LineId.wrap(structHash);
        // The id is the hash of the terms, so they serve once.
        if (_lines[line].terms.lender != NOBODY) revert LineAlreadyOpen(line);
        bytes32 digest = _hashTypedDataV4(structHash);
        PARTIES.requireSignature(form.lender, digest, lenderSignature);
        PARTIES.requireSignature(form.borrower, digest, borrowerSignature);

        Line storage l = _lines[line];
        l.terms = form;
        l.limit = form.limit;
        l.validUntil = form.validUntil;
        l.number = ++_lineCount;
        _lineOf[l.number] = line;
        emit LineOpened(line, form.lender, form.borrower, form.limit);
    }

    /// @inheritdoc ICreditFacility
    function changeLine(
        LineChange calldata form,
        bytes calldata lenderSignature,
        bytes calldata borrowerSignature
    ) external {
        Line storage l = _getLine(form.line);
        _requireInTime(form.expires);
        if (form.limit > MAX_LIMIT) revert LineFieldInvalid("limit");
        bytes32 digest = _use(form.hash());
        PARTIES.requireSignature(l.terms.lender, digest, lenderSignature);
        if (form.limit > l.limit) {
            PARTIES.requireSignature(l.terms.borrower, digest, borrowerSignature);
        }

        // A limit below what is reserved and drawn is allowed: it only takes headroom (promise E).
        l.limit = form.limit;
        l.frozen = form.frozen;
        l.validUntil = form.validUntil;
        emit LineChanged(form.line, form.limit, form.frozen, form.validUntil);
    }

    /// @inheritdoc ICreditFacility
    function setRule(ApprovalRule calldata form, bytes calldata lenderSignature) external {
        Line storage l = _getLine(form.line);
        _requireInTime(form.expires);
        if (form.most > MAX_LIMIT) revert LineFieldInvalid("most");
        if (form.most != 0 && form.validFor == 0) revert LineFieldInvalid("validFor");
        bytes32 digest = _use(form.hash());
        PARTIES.requireSignature(l.terms.lender, digest, lenderSignature);

        _rules[form.line] = Rule({
            debtor: form.debtor, most: uint64(form.most), until: form.until, validFor: form.validFor
        });
        emit LineRuleSet(form.line, form.debtor, form.most, form.until, form.validFor);
    }

    /// @inheritdoc ICreditFacility
    function approvedByRule(LineId line, PartyId debtor, uint128 principal)
        external
        view
        returns (uint64 until)
    {
        Rule memory r = _rules[line];
        bool covered = principal <= r.most && block.timestamp <= r.until
            && (r.debtor == NOBODY || r.debtor == debtor);
        if (!covered) revert LineRuleRefuses(line, r.debtor, r.most, r.until);
        return uint64(block.timestamp) + r.validFor;
    }

    function _requireFields(CreditLine calldata form) private view {
        if (form.lender == NOBODY) revert LineFieldInvalid("lender");
        if (form.borrower == NOBODY || form.borrower == form.lender) {
            revert LineFieldInvalid("borrower");
        }
        if (form.limit == 0 || form.limit > MAX_LIMIT) revert LineFieldInvalid("limit");
        if (form.ceilingPpm > PPM) revert LineFieldInvalid("ceilingPpm");
        // Both below the ceiling, or the penalty could take what the ceiling leaves for interest.
        if (form.ratePpm > form.ceilingPpm) revert LineFieldInvalid("ratePpm");
        if (form.penaltyPpm > form.ceilingPpm) revert LineFieldInvalid("penaltyPpm");
        if (form.feeBps > BPS) revert LineFieldInvalid("feeBps");
        if (form.advanceBps == 0 || form.advanceBps > BPS) revert LineFieldInvalid("advanceBps");
        if (form.toleranceBps > BPS) revert LineFieldInvalid("toleranceBps");
        if (form.tenorDays == 0 || form.tenorDays > MAX_DAYS) revert LineFieldInvalid("tenorDays");
        if (form.graceDays > MAX_DAYS) revert LineFieldInvalid("graceDays");
        if (form.attestor == NOBODY || form.attestor == form.borrower) {
            revert LineFieldInvalid("attestor");
        }
        if (form.validUntil < block.timestamp) revert LineFieldInvalid("validUntil");
        if (form.terms == 0) revert LineFieldInvalid("terms");
    }

    // -- vaults -----------------------------------------------------------------------------------

    /// @inheritdoc ICreditFacility
    function moveVault(VaultMove calldata form, bytes calldata lenderSignature) external {
        _requireInTime(form.expires);
        if (form.amount == 0) revert LineFieldInvalid("amount");
        bytes32 digest = _use(form.hash());
        PARTIES.requireSignature(form.lender, digest, lenderSignature);
        address account = Accounts.ofParty(form.lender);
        if (form.deposit) {
            _cash[form.lender] += form.amount;
            emit VaultMoved(form.lender, true, form.amount, _cash[form.lender]);
            TOKEN.move(account, address(this), form.amount);
        } else {
            _takeCash(form.lender, form.amount);
            emit VaultMoved(form.lender, false, form.amount, _cash[form.lender]);
            TOKEN.move(address(this), account, form.amount);
        }
    }

    // -- what FreightAdvance records --------------------------------------------------------------

    /// @inheritdoc ICreditFacility
    function reserve(LineId line, uint128 amount) external onlyAdvance {
        Line storage l = _getLine(line);
        if (l.frozen) revert LineFrozen(line);
        if (block.timestamp > l.validUntil) revert LineEnded(line, l.validUntil);
        uint256 room = _headroom(l);
        if (amount > room) revert LineHeadroomExceeded(line, room, amount);
        _takeCash(l.terms.lender, amount);
        l.reserved += amount;
        emit LineReserved(line, amount, l.reserved, l.drawn);
    }

    /// @inheritdoc ICreditFacility
    function voidReserve(LineId line, uint128 amount) external onlyAdvance {
        Line storage l = _getLine(line);
        l.reserved -= amount;
        _cash[l.terms.lender] += amount;
        emit LineReserveVoided(line, amount, l.reserved);
    }

    // -- loans ------------------------------------------------------------------------------------

    /// @inheritdoc ICreditFacility
    function openLoan(AdvanceId loan, LineId line, uint32 startDay)
        external
        onlyAdvance
        returns (uint32 dueDay)
    {
        Loan storage n = _loans[loan];
        Line storage l = _getLine(line);
        dueDay = startDay + l.terms.tenorDays;
        n.line = l.number;
        n.startDay = startDay;
        n.dueDay = dueDay;
        n.accruedTo = startDay;
    }

    /// @inheritdoc ICreditFacility
    function draw(AdvanceId loan, uint128 amount, PartyId payee, bytes32 account, bytes32 payout)
        external
        onlyAdvance
    {
        Loan storage n = _loans[loan];
        LineId line = _lineOf[n.line];
        Line storage l = _lines[line];
        // A payee paid on a later day than the others: the days so far bear on what was drawn then.
        uint32 day = Calendar.today();
        if (day > n.accruedTo) {
            _keepAccount(n, Accrual.accrued(_accountOf(n), _ratesOf(n), n.outstanding, day));
        }
        n.drawn += uint64(amount);
        n.outstanding += uint64(amount);
        // No check of freeze, end or limit: they were checked when the cash was locked (promise E).
        l.reserved -= amount;
        l.drawn += amount;
        emit LineDrawn(line, amount, l.reserved, l.drawn);
        TOKEN.move(address(this), Accounts.ofParty(payee), amount);
        TOKEN.queuePayout(payee, account, amount, payout);
    }

    /// @inheritdoc ICreditFacility
    function repay(AdvanceId loan, address from, uint128 amount, bool whole)
        external
        onlyAdvance
        returns (Waterfall.Shares memory shares, uint128 waived, uint128 outstanding)
    {
        Loan storage n = _loans[loan];
        Accrual.Rates memory rates = _ratesOf(n);
        Accrual.Account memory account =
            Accrual.accrued(_accountOf(n), rates, n.outstanding, Calendar.today());
        shares = Waterfall.shared(amount, _debtOf(n, Accrual.chargedDown(account, rates)));
        waived = Accrual.waivedDown(account, rates);
        _bookCharges(n, shares);
        outstanding = n.outstanding - shares.principal;
        n.outstanding = uint64(outstanding);
        if (outstanding == 0 && whole) n.closed = true;
        else _keepAccount(n, account);
        _take(n, from, amount - shares.residue, shares.principal);
    }

    function _take(Loan storage n, address from, uint128 used, uint128 principal) private {
        // Written off, the principal has left the line's books: what still comes in is income.
        if (n.writtenOff) principal = 0;
        LineId line = _lineOf[n.line];
        Line storage l = _lines[line];
        if (principal != 0) l.drawn -= principal;
        _cash[l.terms.lender] += used;
        emit LineRepaid(line, principal, used - principal, l.drawn);
        TOKEN.move(from, address(this), used);
    }

    /// @inheritdoc ICreditFacility
    function writeOff(AdvanceId loan) external onlyAdvance returns (uint128 principal) {
        Loan storage n = _loans[loan];
        LineId line = _lineOf[n.line];
        Line storage l = _lines[line];
        principal = n.outstanding;
        n.writtenOff = true;
        l.drawn -= principal;
        emit LineWrittenOff(line, principal, l.drawn);
    }

    /// @inheritdoc ICreditFacility
    function concede(AdvanceId loan, uint8 what, uint128 value)
        external
        onlyAdvance
        returns (bool)
    {
        Loan storage n = _loans[loan];
        if (what == 3) return _startLater(n, value);
        return what == 5 ? _waive(n, value) : _extend(n, value);
    }

    /// @dev Only before the first day is counted.
    function _startLater(Loan storage n, uint128 day) private returns (bool) {
        if (n.accruedTo != n.startDay || day <= n.startDay || day > n.dueDay) return false;
        n.startDay = uint32(day);
        n.accruedTo = uint32(day);
        return true;
    }

    /// @dev The days so far bear what they bore; only what comes is judged by the later due day.
    function _extend(Loan storage n, uint128 day) private returns (bool) {
        if (day <= n.dueDay || day > n.dueDay + MAX_DAYS) return false;
        _keepAccount(
            n, Accrual.accrued(_accountOf(n), _ratesOf(n), n.outstanding, Calendar.today())
        );
        n.dueDay = uint32(day);
        return true;
    }

    function _waive(Loan storage n, uint128 amount) private returns (bool) {
        Accrual.Rates memory rates = _ratesOf(n);
        Accrual.Account memory account =
            Accrual.accrued(_accountOf(n), rates, n.outstanding, Calendar.today());
        Waterfall.Debt memory debt = _debtOf(n, Accrual.chargedDown(account, rates));
        debt.principal = 0; // never given up here: that is a write-off
        Waterfall.Shares memory shares = Waterfall.shared(amount, debt);
        if (amount == 0 || shares.residue != 0) return false;
        _keepAccount(n, account);
        _bookCharges(n, shares);
        return true;
    }

    function _bookCharges(Loan storage n, Waterfall.Shares memory shares) private {
        n.feePaid += uint64(shares.fee);
        n.penaltyPaid += uint64(shares.penalty);
        n.interestPaid += uint64(shares.interest);
    }

    function _accountOf(Loan storage n) private view returns (Accrual.Account memory) {
        return Accrual.Account({
            interestNum: n.interestNum,
            penaltyNum: n.penaltyNum,
            ceilingNum: n.ceilingNum,
            accruedTo: n.accruedTo
        });
    }

    function _keepAccount(Loan storage n, Accrual.Account memory account) private {
        n.interestNum = account.interestNum;
        n.penaltyNum = account.penaltyNum;
        n.ceilingNum = account.ceilingNum;
        n.accruedTo = account.accruedTo;
    }

    /// @dev The terms of a line never change, so reading them now is reading them at release.
    function _ratesOf(Loan storage n) private view returns (Accrual.Rates memory) {
        CreditLine storage terms = _lines[_lineOf[n.line]].terms;
        return Accrual.Rates({
            ratePpm: terms.ratePpm,
            penaltyPpm: terms.penaltyPpm,
            ceilingPpm: terms.ceilingPpm,
            penaltyFrom: n.dueDay + terms.graceDays,
            fee: uint128(uint256(n.drawn) * terms.feeBps / BPS)
        });
    }

    function _debtOf(Loan storage n, Accrual.Charges memory charges)
        private
        view
        returns (Waterfall.Debt memory)
    {
        return Waterfall.Debt({
            fee: charges.fee - n.feePaid,
            penalty: charges.penalty - n.penaltyPaid,
            interest: charges.interest - n.interestPaid,
            principal: n.outstanding
        });
    }

    // -- reading ----------------------------------------------------------------------------------

    /// @inheritdoc ICreditFacility
    function get(LineId line)
        external
        view
        returns (CreditLine memory terms, uint128 limit, bool frozen, uint64 validUntil)
    {
        Line storage l = _getLine(line);
        return (l.terms, l.limit, l.frozen, l.validUntil);
    }

    /// @inheritdoc ICreditFacility
    function dueOn(AdvanceId loan, uint32 day) external view returns (Due memory) {
        Loan storage n = _loans[loan];
        if (n.closed) return Due(0, 0, 0, 0);
        Accrual.Rates memory rates = _ratesOf(n);
        Accrual.Account memory account = Accrual.accrued(_accountOf(n), rates, n.outstanding, day);
        Waterfall.Debt memory debt = _debtOf(n, Accrual.chargedDown(account, rates));
        return Due({
            principal: debt.principal, fee: debt.fee, penalty: debt.penalty, interest: debt.interest
        });
    }

    /// @inheritdoc ICreditFacility
    function scheduleOf(AdvanceId loan)
        external
        view
        returns (uint128 drawnSoFar, uint128 outstanding, uint32 startDay, uint32 dueDay)
    {
        Loan storage n = _loans[loan];
        return (n.drawn, n.outstanding, n.startDay, n.dueDay);
    }

    /// @inheritdoc ICreditFacility
    function arrearsFrom(AdvanceId loan) external view returns (uint32 day) {
        return _ratesOf(_loans[loan]).penaltyFrom + 1;
    }

    /// @inheritdoc ICreditFacility
    function loanOf(AdvanceId loan) external view returns (LoanRecord memory) {
        Loan storage n = _loans[loan];
        return LoanRecord({
            line: _lineOf[n.line],
            drawn: n.drawn,
            outstanding: n.outstanding,
            feePaid: n.feePaid,
            penaltyPaid: n.penaltyPaid,
            interestPaid: n.interestPaid,
            startDay: n.startDay,
            dueDay: n.dueDay,
            accruedTo: n.accruedTo,
            writtenOff: n.writtenOff
        });
    }

    /// @inheritdoc ICreditFacility
    function outstandingOf(AdvanceId loan) external view returns (uint128) {
        return _loans[loan].outstanding;
    }

    /// @inheritdoc ICreditFacility
    function releaseTermsOf(LineId line) external view returns (bool gated, uint16 toleranceBps) {
        CreditLine storage terms = _lines[line].terms;
        return (terms.gated, terms.toleranceBps);
    }

    /// @inheritdoc ICreditFacility
    function standingOf(LineId line)
        external
        view
        returns (PartyId lender, PartyId borrower, PartyId attestor, uint16 advanceBps)
    {
        CreditLine storage terms = _getLine(line).terms;
        return (terms.lender, terms.borrower, terms.attestor, terms.advanceBps);
    }

    /// @inheritdoc ICreditFacility
    function ruleOf(LineId line)
        external
        view
        returns (PartyId debtor, uint128 most, uint64 until, uint32 validFor)
    {
        Rule storage r = _rules[line];
        return (r.debtor, r.most, r.until, r.validFor);
    }

    /// @inheritdoc ICreditFacility
    function reserved(LineId line) external view returns (uint128) {
        return _lines[line].reserved;
    }

    /// @inheritdoc ICreditFacility
    function drawn(LineId line) external view returns (uint128) {
        return _lines[line].drawn;
    }

    /// @inheritdoc ICreditFacility
    function headroom(LineId line) external view returns (uint128) {
        return uint128(_headroom(_lines[line]));
    }

    /// @inheritdoc ICreditFacility
    function cash(PartyId lender) external view returns (uint128) {
        return _cash[lender];
    }

    // -- inside -----------------------------------------------------------------------------------

    function _takeCash(PartyId lender, uint128 amount) private {
        uint128 available = _cash[lender];
        if (amount > available) revert VaultCashTooLow(lender, available, amount);
        _cash[lender] = available - amount;
    }

    function _use(bytes32 structHash) private returns (bytes32 digest) {
        digest = _hashTypedDataV4(structHash);
        if (_used[digest]) revert CreditFormUsed(digest);
        _used[digest] = true;
    }

    function _headroom(Line storage l) private view returns (uint256) {
        uint256 taken = uint256(l.reserved) + l.drawn;
        return taken < l.limit ? l.limit - taken : 0;
    }

    function _getLine(LineId line) private view returns (Line storage l) {
        l = _lines[line];
        if (l.terms.lender == NOBODY) revert LineUnknown(line);
    }

    function _requireInTime(uint64 expires) private view {
        if (block.timestamp > expires) revert CreditFormExpired(expires, uint64(block.timestamp));
    }
}
