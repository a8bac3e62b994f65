// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {PartyId} from "../types/Ids.sol";
import {MintReceipt, PayoutReceipt, PayoutRedirect, PayoutRequest} from "../types/MoneyForms.sol";
import {PayoutState} from "../types/States.sol";

/// @notice One amount on its way to a bank account.
struct PayoutRecord {
    PartyId party;
    PayoutState state;
    uint128 amount;
    bytes32 account;
}

/// @title A claim on the custodian's bank money, in fen (2 decimals)
/// @notice Promise G. Balances sit on accounts without keys; only the contracts fixed at construction move them.
/// Supply equals mints less burns; each bank reference mints once, each payment sequence burns once.
interface ISettlementToken {
    event Minted(
        bytes32 indexed bankReference, address indexed account, uint128 amount, uint64 valueDay
    );
    event PayoutQueued(
        bytes32 indexed payout, PartyId indexed party, bytes32 account, uint128 amount
    );
    event PayoutRedirected(bytes32 indexed payout, bytes32 account);
    event PayoutPaid(bytes32 indexed payout, bytes32 indexed sequence, uint64 valueDay);
    event CustodianChanged(PartyId first, PartyId second);
    event DailyCapChanged(uint128 cap);

    error TokenMovedByContractsOnly();
    error TokenFieldInvalid(bytes32 field);
    error TokenCallerNotAllowed(address caller);
    error TokenBankReferenceUsed(bytes32 bankReference);
    error TokenSequenceUsed(bytes32 sequence);
    error TokenDailyCapExceeded(uint256 cap, uint256 minted, uint256 amount);
    error TokenPayoutUnexpectedState(bytes32 payout, PayoutState current, PayoutState wanted);
    error TokenFreeBalanceTooLow(address account, uint256 free, uint256 amount);
    error TokenFormExpired(uint64 expires, uint64 nowAt);
    error TokenFormUsed(bytes32 digest);

    /// @notice Bank money has come in: credits an account. Signed by both signers of the custodian.
    /// Warning: an account that no id leads to is out of reach for ever; the signers check it.
    /// @custom:access Anyone; authority comes from the signatures.
    function mint(
        MintReceipt calldata form,
        bytes calldata firstSignature,
        bytes calldata secondSignature
    ) external;
    /// @notice The bank has paid: burns what was queued.
    /// @custom:access Anyone; authority comes from the signatures.
    function confirmPayout(
        PayoutReceipt calldata form,
        bytes calldata firstSignature,
        bytes calldata secondSignature
    ) external;
    /// @notice A party queues its own free balance for its bank account.
    /// @custom:access Anyone; authority comes from the signatures.
    function requestPayout(PayoutRequest calldata form, bytes calldata signature)
        external
        returns (bytes32 payout);

    /// @notice A payout that the bank sent back goes to another account of the same payee.
    /// @custom:access Anyone; authority comes from the signatures.
    function redirectPayout(
        PayoutRedirect calldata form,
        bytes calldata payeeSignature,
        bytes calldata custodianSignature
    ) external;

    // For CreditFacility and FreightSettlement, fixed at construction.
    /// @notice Moves free balance between accounts.
    /// @custom:access CreditFacility and FreightSettlement only.
    function move(address from, address to, uint128 amount) external;
    /// @notice Queues a payee's money for the bank account frozen at the approval.
    /// @custom:access CreditFacility only.
    function queuePayout(PartyId party, bytes32 account, uint128 amount, bytes32 payout) external;

    /// @notice One payout; state None if there is none.
    function payoutOf(bytes32 payout) external view returns (PayoutRecord memory);
    /// @notice What a party may still move or queue.
    /// @return balance of the party's account that is not queued for a payout.
    function freeBalance(PartyId party) external view returns (uint128);
    /// @notice Counts against the daily cap.
    /// @return tokens minted on a Beijing day, held against the daily cap.
    function mintedOn(uint32 day) external view returns (uint256);
    /// @notice Most that may be minted a Beijing day, fen.
    function dailyCap() external view returns (uint128);
    /// @notice The first signer of the custodian.
    function firstCustodian() external view returns (PartyId);
    /// @notice The second signer of the custodian.
    function secondCustodian() external view returns (PartyId);
    /// @notice Names the two signers of the custodian.
    /// Warning: both together decide what was received.
    /// @custom:access Restricted by the AccessManager, with a delay.
    function setCustodian(PartyId first, PartyId second) external;
    /// @notice Most that may be minted a Beijing day.
    /// @custom:access Restricted by the AccessManager, with a delay.
    function setDailyCap(uint128 cap) external;
}
