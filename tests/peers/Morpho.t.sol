// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";
import {console2} from "forge-std/console2.sol";

import {Morpho} from "morpho/src/Morpho.sol";
import {Id, MarketParams} from "morpho/src/interfaces/IMorpho.sol";
import {ERC20Mock} from "morpho/src/mocks/ERC20Mock.sol";
import {IrmMock} from "morpho/src/mocks/IrmMock.sol";
import {OracleMock} from "morpho/src/mocks/OracleMock.sol";

/// @title What a loan against a tokenised receivable costs on Morpho Blue, step by step
/// @dev `python -m tests.contracts.deep peer`, compiled as Morpho publishes it and measured as Gas.t.sol measures ours: each
/// step a transaction of its own, cold, intrinsic gas and calldata included, refunds taken off. The oracle and the rate model are
/// Morpho's own mocks, the tokens plain ERC-20s, so a real market costs more. The market has other lenders and borrowers already.
contract MorphoTest is Test {
    Morpho internal morpho;
    ERC20Mock internal cash = new ERC20Mock();
    ERC20Mock internal receivable = new ERC20Mock();
    MarketParams internal market;
    address internal lender = makeAddr("lender");
    address internal other = makeAddr("other borrower");
    address internal borrower = makeAddr("borrower");
    uint256 internal total;

    function setUp() public {
        vm.warp(1_769_442_600);
        morpho = new Morpho(address(this));
        OracleMock oracle = new OracleMock();
        oracle.setPrice(1e36);
        IrmMock irm = new IrmMock();
        morpho.enableIrm(address(irm));
        morpho.enableLltv(0.9e18);
        market =
            MarketParams(address(cash), address(receivable), address(oracle), address(irm), 0.9e18);
        morpho.createMarket(market);
        cash.setBalance(lender, 1_000_000e18);
        vm.startPrank(lender);
        cash.approve(address(morpho), type(uint256).max);
        morpho.supply(market, 1_000_000e18, 0, lender, "");
        vm.stopPrank();
        receivable.setBalance(other, 1_000e18);
        vm.startPrank(other);
        receivable.approve(address(morpho), type(uint256).max);
        morpho.supplyCollateral(market, 1_000e18, other, "");
        morpho.borrow(market, 500e18, 0, other, other);
        vm.stopPrank();
        receivable.setBalance(borrower, 10_000e18);
        cash.setBalance(borrower, 1_000e18); // for the interest
        vm.warp(block.timestamp + 1 days);
    }

    function _step(string memory name) internal {
        Vm.Gas memory g = vm.lastCallGas();
        uint256 gas = g.gasTotalUsed - (g.gasRefunded > 0 ? uint256(uint64(g.gasRefunded)) : 0);
        total += gas;
        console2.log(name, gas);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_drawing_and_repaying_one_loan() public {
        vm.startPrank(borrower);
        receivable.approve(address(morpho), 8_000e18);
        _step("peer.morpho.approve_receivable");
        morpho.supplyCollateral(market, 8_000e18, borrower, "");
        _step("peer.morpho.pledge");
        morpho.borrow(market, 6_400e18, 0, borrower, borrower);
        _step("peer.morpho.draw");
        console2.log("peer.morpho.pledged_and_drawn", total);
        total = 0;
        vm.warp(block.timestamp + 40 days);
        cash.approve(address(morpho), type(uint256).max);
        _step("peer.morpho.approve_cash");
        (, uint128 shares,) = morpho.position(Id.wrap(_id()), borrower);
        morpho.repay(market, 0, shares, borrower, "");
        _step("peer.morpho.repay");
        morpho.withdrawCollateral(market, 8_000e18, borrower, borrower);
        _step("peer.morpho.release_of_the_pledge");
        console2.log("peer.morpho.repaid_and_released", total);
        (, shares,) = morpho.position(Id.wrap(_id()), borrower);
        assertEq(shares, 0);
        assertEq(receivable.balanceOf(borrower), 10_000e18);
    }

    function _id() internal view returns (bytes32 id) {
        return keccak256(abi.encode(market));
    }
}
