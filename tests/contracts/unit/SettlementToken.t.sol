// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Base.t.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IPartyRegistry} from "contracts/interfaces/IPartyRegistry.sol";
import {ISettlementToken, PayoutRecord} from "contracts/interfaces/ISettlementToken.sol";

contract SettlementTokenTest is Base {
    function _mint(MintReceipt memory f, PartyId a, PartyId b) internal {
        bytes32 h = hash(f);
        submit(
            address(token),
            abi.encodeCall(token.mint, (f, sign(a, address(token), h), sign(b, address(token), h)))
        );
    }

    function _receipt(uint128 amount) internal returns (MintReceipt memory) {
        return MintReceipt({
            bankReference: salt(),
            account: accountOf(DRIVER),
            amount: amount,
            valueDay: advances.today()
        });
    }

    function _request(PartyId party, uint128 amount) internal returns (bytes32) {
        PayoutRequest memory f = PayoutRequest({
            party: party,
            account: keccak256("bank account"),
            amount: amount,
            expires: soon(),
            salt: salt()
        });
        bytes memory s = sign(party, address(token), hash(f));
        submit(address(token), abi.encodeCall(token.requestPayout, (f, s)));
        return hash(f);
    }

    function test_mint_needs_both_signers_and_a_fresh_bank_reference() public {
        MintReceipt memory f = _receipt(100);
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        _mint(f, CUSTODIAN1, CUSTODIAN1);
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        _mint(f, CUSTODIAN2, CUSTODIAN2);
        _mint(f, CUSTODIAN1, CUSTODIAN2);
        assertEq(balanceOf(DRIVER), 100);
        assertEq(token.totalSupply(), 100);
        refused(
            abi.encodeWithSelector(
                ISettlementToken.TokenBankReferenceUsed.selector, f.bankReference
            )
        );
        _mint(f, CUSTODIAN1, CUSTODIAN2);
        f = _receipt(0);
        refused(
            abi.encodeWithSelector(ISettlementToken.TokenFieldInvalid.selector, bytes32("amount"))
        );
        _mint(f, CUSTODIAN1, CUSTODIAN2);
    }

    function test_mint_keeps_the_daily_cap_of_the_beijing_day() public {
        mint(accountOf(DRIVER), DAILY_CAP);
        assertEq(token.mintedOn(advances.today()), DAILY_CAP);
        MintReceipt memory f = _receipt(1);
        refused(
            abi.encodeWithSelector(
                ISettlementToken.TokenDailyCapExceeded.selector, DAILY_CAP, DAILY_CAP, 1
            )
        );
        _mint(f, CUSTODIAN1, CUSTODIAN2);
        vm.warp(block.timestamp + 10 minutes); // past midnight in Beijing
        _mint(f, CUSTODIAN1, CUSTODIAN2);
    }

    function test_transfers_are_the_contracts_alone() public {
        mint(accountOf(DRIVER), 100);
        refused(ISettlementToken.TokenMovedByContractsOnly.selector);
        submit(address(token), abi.encodeCall(token.transfer, (relayer, 1)));
        refused(ISettlementToken.TokenMovedByContractsOnly.selector);
        submit(address(token), abi.encodeCall(token.transferFrom, (accountOf(DRIVER), relayer, 1)));
        refused(ISettlementToken.TokenMovedByContractsOnly.selector);
        submit(address(token), abi.encodeCall(token.approve, (relayer, 1)));
        refused(abi.encodeWithSelector(ISettlementToken.TokenCallerNotAllowed.selector, relayer));
        submit(address(token), abi.encodeCall(token.move, (accountOf(DRIVER), relayer, 1)));
        refused(ISettlementToken.TokenCallerNotAllowed.selector);
        submit(address(token), abi.encodeCall(token.queuePayout, (DRIVER, "a", 1, "p")));
        assertEq(token.decimals(), 2);
    }

    function test_a_payout_is_queued_then_burned_on_the_banks_word() public {
        mint(accountOf(DRIVER), 100);
        bytes32 payout = _request(DRIVER, 60);
        assertEq(token.freeBalance(DRIVER), 40);
        refused(
            abi.encodeWithSelector(
                ISettlementToken.TokenFreeBalanceTooLow.selector, accountOf(DRIVER), 40, 41
            )
        );
        _request(DRIVER, 41);
        payOut(payout);
        assertEq(balanceOf(DRIVER), 40);
        assertEq(token.totalSupply(), 40);
        PayoutRecord memory p = token.payoutOf(payout);
        assertEq(uint8(p.state), uint8(PayoutState.Paid));
        refused(
            abi.encodeWithSelector(
                ISettlementToken.TokenPayoutUnexpectedState.selector,
                payout,
                PayoutState.Paid,
                PayoutState.Queued
            )
        );
        payOut(payout);
    }

    function test_a_payment_sequence_burns_once() public {
        mint(accountOf(DRIVER), 100);
        PayoutReceipt memory f =
            PayoutReceipt({payout: _request(DRIVER, 10), sequence: "S1", valueDay: 1});
        _confirm(f, CUSTODIAN1, CUSTODIAN2);
        f.payout = _request(DRIVER, 10);
        refused(abi.encodeWithSelector(ISettlementToken.TokenSequenceUsed.selector, bytes32("S1")));
        _confirm(f, CUSTODIAN1, CUSTODIAN2);
        f.sequence = "S2";
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        _confirm(f, CUSTODIAN1, CUSTODIAN1);
    }

    function _confirm(PayoutReceipt memory f, PartyId a, PartyId b) internal {
        bytes32 h = hash(f);
        submit(
            address(token),
            abi.encodeCall(
                token.confirmPayout, (f, sign(a, address(token), h), sign(b, address(token), h))
            )
        );
    }

    function test_requestPayout_is_signed_in_time_and_once() public {
        mint(accountOf(DRIVER), 100);
        PayoutRequest memory f =
            PayoutRequest({party: DRIVER, account: "a", amount: 10, expires: soon(), salt: salt()});
        bytes memory s = sign(SUB, address(token), hash(f));
        refused(IPartyRegistry.PartySignatureInvalid.selector);
        submit(address(token), abi.encodeCall(token.requestPayout, (f, s)));
        s = sign(DRIVER, address(token), hash(f));
        submit(address(token), abi.encodeCall(token.requestPayout, (f, s)));
        refused(abi.encodeWithSelector(ISettlementToken.TokenFormUsed.selector, hash(f)));
        submit(address(token), abi.encodeCall(token.requestPayout, (f, s)));
        f.expires = 1;
        refused(
            abi.encodeWithSelector(ISettlementToken.TokenFormExpired.selector, 1, block.timestamp)
        );
        submit(address(token), abi.encodeCall(token.requestPayout, (f, s)));
        f.expires = soon();
        f.account = 0;
        s = sign(DRIVER, address(token), hash(f));
        refused(ISettlementToken.TokenFieldInvalid.selector);
        submit(address(token), abi.encodeCall(token.requestPayout, (f, s)));
    }

    function _redirect(PayoutRedirect memory f, PartyId a, PartyId b) internal {
        bytes32 h = hash(f);
        submit(
            address(token),
            abi.encodeCall(
                token.redirectPayout, (f, sign(a, address(token), h), sign(b, address(token), h))
            )
        );
    }

    function test_a_returned_payout_stays_its_payees_under_another_account() public {
        mint(accountOf(DRIVER), 100);
        bytes32 payout = _request(DRIVER, 60);
        PayoutRedirect memory f =
            PayoutRedirect({payout: payout, account: "new account", expires: soon(), salt: salt()});
        refused(IPartyRegistry.PartySignatureInvalid.selector); // the bank has not said so
        _redirect(f, DRIVER, DRIVER);
        refused(IPartyRegistry.PartySignatureInvalid.selector); // another's account
        _redirect(f, SUB, CUSTODIAN1);
        _redirect(f, DRIVER, CUSTODIAN1);
        PayoutRecord memory p = token.payoutOf(payout);
        assertEq(p.account, "new account");
        assertTrue(p.party == DRIVER && p.state == PayoutState.Queued);
        assertEq(p.amount, 60);
        refused(ISettlementToken.TokenFormUsed.selector);
        _redirect(f, DRIVER, CUSTODIAN1);
        f.account = 0;
        refused(ISettlementToken.TokenFieldInvalid.selector);
        _redirect(f, DRIVER, CUSTODIAN1);
    }

    function test_custodian_and_cap_are_the_managers() public {
        bytes memory error_ =
            abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, relayer);
        refused(error_);
        submit(address(token), abi.encodeCall(token.setCustodian, (SUB, DRIVER)));
        refused(error_);
        submit(address(token), abi.encodeCall(token.setDailyCap, (1)));
        vm.startPrank(admin);
        vm.expectRevert(
            abi.encodeWithSelector(
                ISettlementToken.TokenFieldInvalid.selector, bytes32("custodian")
            )
        );
        token.setCustodian(SUB, SUB);
        token.setDailyCap(1);
        vm.stopPrank();
        assertEq(token.dailyCap(), 1);
        assertTrue(token.firstCustodian() == CUSTODIAN1);
        assertTrue(token.secondCustodian() == CUSTODIAN2);
    }

    function test_queuePayout_refuses_an_id_twice() public {
        mint(accountOf(DRIVER), 100);
        vm.startPrank(address(facility));
        token.queuePayout(DRIVER, "a", 1, "p");
        vm.expectRevert(
            abi.encodeWithSelector(
                ISettlementToken.TokenPayoutUnexpectedState.selector,
                bytes32("p"),
                PayoutState.Queued,
                PayoutState.None
            )
        );
        token.queuePayout(DRIVER, "a", 1, "p");
        vm.stopPrank();
    }
}
