// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {ICreditFacility} from "./interfaces/ICreditFacility.sol";
import {IPartyRegistry} from "./interfaces/IPartyRegistry.sol";
import {ISettlementToken} from "./interfaces/ISettlementToken.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {CreditHash} from "./libraries/CreditHash.sol";
import {CreditLine, LineChange, VaultMove} from "./types/CreditForms.sol";
import {LineId, NOBODY, PartyId} from "./types/Ids.sol";

/// @title Lenders' lines and vaults
/// @notice Promise E. Knows nothing of waybills. The manual is ICreditFacility.
contract CreditFacility is ICreditFacility, EIP712 {
    using CreditHash for *;

    // -- what is stored ---------------------------------------------------------------------------

    /// @dev `terms` never changes; what moves stands beside it.
    struct Line {
        CreditLine terms;
        uint128 limit;
        uint64 validUntil;
        bool frozen;
        // slot
        uint128 reserved;
        uint128 drawn;
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
    /// @dev Cash of a lender that is not reserved; reserved cash lies with the line. Both on this contract's token account.
    mapping(PartyId lender => uint128) private _cash;
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

    /// @inheritdoc ICreditFacility
    function draw(LineId line, uint128 amount, address to) external onlyAdvance {
        Line storage l = _getLine(line);
        // No check of freeze, end or limit: they were checked when the cash was locked (promise E).
        l.reserved -= amount;
        l.drawn += amount;
        emit LineDrawn(line, amount, l.reserved, l.drawn);
        TOKEN.move(address(this), to, amount);
    }

    /// @inheritdoc ICreditFacility
    function repaid(LineId line, uint128 principal, uint128 income) external onlyAdvance {
        Line storage l = _getLine(line);
        l.drawn -= principal;
        _cash[l.terms.lender] += principal + income;
        emit LineRepaid(line, principal, income, l.drawn);
    }

    /// @inheritdoc ICreditFacility
    function writtenOff(LineId line, uint128 principal) external onlyAdvance {
        Line storage l = _getLine(line);
        l.drawn -= principal;
        emit LineWrittenOff(line, principal, l.drawn);
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
    function ratesOf(LineId line)
        external
        view
        returns (uint32 ratePpm, uint32 penaltyPpm, uint32 ceilingPpm, uint16 feeBps)
    {
        CreditLine storage terms = _lines[line].terms;
        return (terms.ratePpm, terms.penaltyPpm, terms.ceilingPpm, terms.feeBps);
    }

    /// @inheritdoc ICreditFacility
    function releaseTermsOf(LineId line)
        external
        view
        returns (bool gated, uint16 toleranceBps, uint16 tenorDays, uint16 graceDays)
    {
        CreditLine storage terms = _lines[line].terms;
        return (terms.gated, terms.toleranceBps, terms.tenorDays, terms.graceDays);
    }

    /// @inheritdoc ICreditFacility
    function attestorOf(LineId line) external view returns (PartyId) {
        return _lines[line].terms.attestor;
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
