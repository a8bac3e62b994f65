// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IPartyRegistry} from "./interfaces/IPartyRegistry.sol";
import {ISettlementToken, PayoutRecord} from "./interfaces/ISettlementToken.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {Calendar} from "./libraries/Calendar.sol";
import {MoneyHash} from "./libraries/MoneyHash.sol";
import {NOBODY, PartyId} from "./types/Ids.sol";
import {MintReceipt, PayoutReceipt, PayoutRedirect, PayoutRequest} from "./types/MoneyForms.sol";
import {PayoutState} from "./types/States.sol";

/// @title A claim on the custodian's bank money, in fen
/// @notice Promise G. The manual is ISettlementToken.
contract SettlementToken is ISettlementToken, ERC20, EIP712, AccessManaged {
    using MoneyHash for *;

    // -- what is stored ---------------------------------------------------------------------------

    struct Payout {
        PartyId party;
        PayoutState state;
        uint128 amount;
        bytes32 account;
    }

    /// @dev One slot. `queued` is the part of the balance that waits for the bank.
    struct Account {
        uint128 balance;
        uint128 queued;
    }

    IPartyRegistry private immutable PARTIES;
    address private immutable FACILITY;
    address private immutable SETTLEMENT;

    /// @inheritdoc ISettlementToken
    PartyId public firstCustodian;
    /// @inheritdoc ISettlementToken
    PartyId public secondCustodian;
    /// @inheritdoc ISettlementToken
    uint128 public dailyCap;

    // slot: what a mint moves
    uint128 private _supply;
    uint96 private _minted; // on the day that follows
    uint32 private _mintedDay;

    /// @dev In place of ERC20's own books, so that balance and queue share a slot.
    mapping(address account => Account) private _accounts;
    mapping(bytes32 bankReference => bool) private _minting;
    mapping(bytes32 sequence => bool) private _burning;
    mapping(bytes32 payout => Payout) private _payouts;
    mapping(bytes32 digest => bool) private _used;

    constructor(
        address authority,
        IPartyRegistry parties,
        address facility,
        address settlement,
        uint128 cap
    ) ERC20("Yundan settlement", "YDS") EIP712("Yundan", "1") AccessManaged(authority) {
        PARTIES = parties;
        FACILITY = facility;
        SETTLEMENT = settlement;
        _setDailyCap(cap);
    }

    // -- the bank's word --------------------------------------------------------------------------

    /// @inheritdoc ISettlementToken
    function mint(
        MintReceipt calldata form,
        bytes calldata firstSignature,
        bytes calldata secondSignature
    ) external {
        if (_minting[form.bankReference]) {
            revert TokenBankReferenceUsed(form.bankReference);
        }
        if (form.amount == 0) revert TokenFieldInvalid("amount");
        uint32 day = Calendar.today();
        uint256 minted = mintedOn(day);
        if (minted + form.amount > dailyCap) {
            revert TokenDailyCapExceeded(dailyCap, minted, form.amount);
        }
        _requireCustodian(_hashTypedDataV4(form.hash()), firstSignature, secondSignature);

        _minting[form.bankReference] = true;
        // At most the cap, which fits.
        (_minted, _mintedDay) = (uint96(minted + form.amount), day);
        emit Minted(form.bankReference, form.account, form.amount, form.valueDay);
        _mint(form.account, form.amount);
    }

    /// @inheritdoc ISettlementToken
    function confirmPayout(
        PayoutReceipt calldata form,
        bytes calldata firstSignature,
        bytes calldata secondSignature
    ) external {
        Payout storage payout = _getQueued(form.payout);
        if (_burning[form.sequence]) revert TokenSequenceUsed(form.sequence);
        _requireCustodian(_hashTypedDataV4(form.hash()), firstSignature, secondSignature);

        _burning[form.sequence] = true;
        payout.state = PayoutState.Paid;
        address account = Accounts.ofParty(payout.party);
        _accounts[account].queued -= payout.amount;
        emit PayoutPaid(form.payout, form.sequence, form.valueDay);
        _burn(account, payout.amount);
    }

    // -- payouts ----------------------------------------------------------------------------------

    /// @inheritdoc ISettlementToken
    function requestPayout(PayoutRequest calldata form, bytes calldata signature)
        external
        returns (bytes32 payout)
    {
        _requireInTime(form.expires);
        payout = form.hash();
        // The payout's id is the hash of the form, so a form serves once.
        if (_payouts[payout].state != PayoutState.None) revert TokenFormUsed(payout);
        PARTIES.requireSignature(form.party, _hashTypedDataV4(payout), signature);
        _queue(form.party, form.account, form.amount, payout);
    }

    /// @inheritdoc ISettlementToken
    function redirectPayout(
        PayoutRedirect calldata form,
        bytes calldata payeeSignature,
        bytes calldata custodianSignature
    ) external {
        _requireInTime(form.expires);
        Payout storage payout = _getQueued(form.payout);
        if (form.account == 0) revert TokenFieldInvalid("account");
        bytes32 digest = _hashTypedDataV4(form.hash());
        if (_used[digest]) revert TokenFormUsed(digest);
        _used[digest] = true;
        PARTIES.requireSignature(payout.party, digest, payeeSignature);
        PARTIES.requireSignature(firstCustodian, digest, custodianSignature);

        payout.account = form.account;
        emit PayoutRedirected(form.payout, form.account);
    }

    /// @inheritdoc ISettlementToken
    function queuePayout(PartyId party, bytes32 account, uint128 amount, bytes32 payout) external {
        if (msg.sender != FACILITY) revert TokenCallerNotAllowed(msg.sender);
        PayoutState state = _payouts[payout].state;
        if (state != PayoutState.None) {
            revert TokenPayoutUnexpectedState(payout, state, PayoutState.None);
        }
        _queue(party, account, amount, payout);
    }

    function _queue(PartyId party, bytes32 account, uint128 amount, bytes32 payout) private {
        if (amount == 0) revert TokenFieldInvalid("amount");
        if (account == 0) revert TokenFieldInvalid("account");
        address holder = Accounts.ofParty(party);
        _requireFree(holder, amount);
        _accounts[holder].queued += amount;
        _payouts[payout] =
            Payout({party: party, state: PayoutState.Queued, amount: amount, account: account});
        emit PayoutQueued(payout, party, account, amount);
    }

    // -- movement ---------------------------------------------------------------------------------

    /// @inheritdoc ISettlementToken
    function move(address from, address to, uint128 amount) external {
        if (msg.sender != FACILITY && msg.sender != SETTLEMENT) {
            revert TokenCallerNotAllowed(msg.sender);
        }
        _requireFree(from, amount);
        _transfer(from, to, amount);
    }

    /// @dev Every mint, burn and move goes through here; the books are this contract's own.
    function _update(address from, address to, uint256 value) internal override {
        // Values are balances or amounts of forms: both fit.
        uint128 amount = uint128(value);
        if (from == address(0)) _supply += amount;
        else _accounts[from].balance -= amount;
        if (to == address(0)) _supply -= amount;
        else _accounts[to].balance += amount;
        emit Transfer(from, to, value);
    }

    /// @notice Refused: balances lie on accounts without keys and only the contracts move them.
    function transfer(address, uint256) public pure override returns (bool) {
        revert TokenMovedByContractsOnly();
    }

    /// @notice Refused, as transfer is.
    function transferFrom(address, address, uint256) public pure override returns (bool) {
        revert TokenMovedByContractsOnly();
    }

    /// @notice Refused, as transfer is.
    function approve(address, uint256) public pure override returns (bool) {
        revert TokenMovedByContractsOnly();
    }

    // -- powers -----------------------------------------------------------------------------------

    /// @inheritdoc ISettlementToken
    function setCustodian(PartyId first, PartyId second) external restricted {
        if (first == second || first == NOBODY || second == NOBODY) {
            revert TokenFieldInvalid("custodian");
        }
        (firstCustodian, secondCustodian) = (first, second);
        emit CustodianChanged(first, second);
    }

    /// @inheritdoc ISettlementToken
    function setDailyCap(uint128 cap) external restricted {
        _setDailyCap(cap);
    }

    function _setDailyCap(uint128 cap) private {
        if (cap > type(uint96).max) revert TokenFieldInvalid("cap");
        dailyCap = cap;
        emit DailyCapChanged(cap);
    }

    // -- reading ----------------------------------------------------------------------------------

    /// @notice 2: one unit is one fen.
    function decimals() public pure override returns (uint8) {
        return 2;
    }

    /// @notice Fen on an account, queued ones included.
    function balanceOf(address account) public view override returns (uint256) {
        return _accounts[account].balance;
    }

    /// @notice Fen minted and not burned.
    function totalSupply() public view override returns (uint256) {
        return _supply;
    }

    /// @inheritdoc ISettlementToken
    function payoutOf(bytes32 payout) external view returns (PayoutRecord memory) {
        Payout storage p = _payouts[payout];
        return PayoutRecord({party: p.party, state: p.state, amount: p.amount, account: p.account});
    }

    /// @inheritdoc ISettlementToken
    function freeBalance(PartyId party) external view returns (uint128) {
        return uint128(_free(Accounts.ofParty(party)));
    }

    /// @inheritdoc ISettlementToken
    function mintedOn(uint32 day) public view returns (uint256) {
        return day == _mintedDay ? _minted : 0;
    }

    // -- inside -----------------------------------------------------------------------------------

    function _free(address account) private view returns (uint256) {
        Account storage a = _accounts[account];
        return a.balance - a.queued;
    }

    function _requireFree(address account, uint256 amount) private view {
        uint256 free = _free(account);
        if (amount > free) revert TokenFreeBalanceTooLow(account, free, amount);
    }

    function _requireCustodian(bytes32 digest, bytes calldata first, bytes calldata second)
        private
        view
    {
        PARTIES.requireSignature(firstCustodian, digest, first);
        PARTIES.requireSignature(secondCustodian, digest, second);
    }

    function _requireInTime(uint64 expires) private view {
        if (block.timestamp > expires) revert TokenFormExpired(expires, uint64(block.timestamp));
    }

    function _getQueued(bytes32 id) private view returns (Payout storage payout) {
        payout = _payouts[id];
        if (payout.state != PayoutState.Queued) {
            revert TokenPayoutUnexpectedState(id, payout.state, PayoutState.Queued);
        }
    }
}
