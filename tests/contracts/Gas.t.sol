// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {console2} from "forge-std/console2.sol";
import {Vm} from "forge-std/Vm.sol";

import "./Base.t.sol";

/// @title What each step costs as a transaction of its own (intrinsic gas and calldata included)
/// @dev Each call runs isolated, so nothing is warm from the step before. `forge test --mc GasTest -vv` prints the table
/// that contracts/README.md shows beside the targets.
/// forge-config: default.isolate = true
contract GasTest is Base {
    uint256 internal total;

    /// @dev Gas of the last submission, refunds taken off.
    function _gas() internal view returns (uint256) {
        Vm.Gas memory g = vm.lastCallGas();
        return g.gasTotalUsed - (g.gasRefunded > 0 ? uint256(uint64(g.gasRefunded)) : 0);
    }

    function _step(string memory name) internal {
        uint256 g = _gas();
        total += g;
        console2.log(name, g);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_whole_trip_of_three_tiers() public {
        // The policy is known from earlier waybills, parties are enrolled, the line stands.
        Waybill memory earlier = rootForm();
        (earlier.trip, earlier.vehicle) = (TripId.wrap("earlier"), "earlier");
        (earlier.plan, earlier.policy) = (PLAN, POLICY);
        issue(earlier);
        line = openLine(lineForm());
        fund(LENDER, 50_000_00);
        vm.warp(block.timestamp + 1);

        root = issue(rootForm());
        _step("contracts.issue_root");
        mid = issue(midForm(root));
        _step("contracts.issue_middle");
        leaf = issue(leafForm(mid));
        _step("contracts.issue_leaf");
        AdvanceId id = request(requestForm());
        _step("contracts.request");
        acknowledge(acknowledgementOf(id));
        _step("contracts.acknowledge");
        consent(consentOf(id, 0));
        _step("contracts.consent");
        approve(approvalOf(id));
        _step("contracts.approve");
        load(loadingOf(TRIP));
        _step("contracts.load");
        uint256 withoutTrack = total;
        for (uint32 i = 0; i < 3; i++) {
            vm.warp(block.timestamp + 30 minutes);
            commit(batchOf(TRIP, i));
            _step(i == 0 ? "contracts.commit_first" : "contracts.commit_next");
        }
        total = withoutTrack;
        attest(attestationOf(TRIP, ATTESTOR1));
        _step("contracts.attest_first");
        attest(attestationOf(TRIP, ATTESTOR2));
        _step("contracts.attest_second");
        confirm(confirmationOf(TRIP));
        _step("contracts.confirm_and_release_one_payee");
        assertState(id, AdvanceState.Released);
        vm.warp(block.timestamp + 40 days);
        mint(settlement.collectionAccount(mid), MID_FREIGHT);
        console2.log("contracts.mint", _gas());
        submit(address(settlement), abi.encodeCall(settlement.settle, (mid)));
        _step("contracts.settle_and_repay");
        assertState(id, AdvanceState.Repaid);
        console2.log("contracts.whole_trip", total);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_release_to_three_payees() public {
        WaybillId at = issue(rootForm());
        root = at;
        PartyId above = CARRIER;
        WaybillId[3] memory ids;
        PartyId[3] memory who = [PartyId.wrap(201), PartyId.wrap(202), PartyId.wrap(203)];
        for (uint256 i = 0; i < 3; i++) {
            enrol(who[i]);
            Waybill memory f = i == 2 ? leafForm(at) : midForm(at);
            (f.issuer, f.performer) = (above, who[i]);
            f.freight = ROOT_FREIGHT - uint128(i + 1) * 500_00;
            at = issue(f);
            (ids[2 - i], above) = (at, who[i]);
        }
        CreditLine memory l = lineForm();
        l.borrower = CARRIER;
        line = openLine(l);
        fund(LENDER, 50_000_00);
        AdvanceRequest memory r = requestForm();
        r.waybill = root;
        r.principal = 9_000_00;
        r.payees = new Payee[](3);
        for (uint256 i = 0; i < 3; i++) {
            r.payees[i] = Payee(who[2 - i], ids[i], bytes32(i + 1), i == 0 ? 7_000_00 : 1_000_00);
        }
        AdvanceId id = approved(r);
        load(loadingOf(TRIP));
        drive(TRIP);
        confirm(confirmationOf(TRIP));
        _step("contracts.confirm_and_release_three_payees");
        assertState(id, AdvanceState.Released);
        assertEq(advances.get(id).outstanding, 9_000_00);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_batch_of_twenty() public {
        root = issue(rootForm());
        uint256 n = 20;
        Waybill[] memory f = new Waybill[](n);
        bytes[] memory a = new bytes[](n);
        bytes[] memory b = new bytes[](n);
        for (uint256 i = 0; i < n; i++) {
            f[i] = rootForm();
            a[i] = sign(f[i].issuer, address(waybills), hash(f[i]));
            b[i] = sign(f[i].performer, address(waybills), hash(f[i]));
        }
        submit(address(waybills), abi.encodeCall(waybills.issueBatch, (f, a, b, true)));
        console2.log("contracts.issue_root_in_batch_of_20", _gas() / n);
        for (uint256 i = 0; i < n; i++) {
            f[i] = leafForm(NO_WAYBILL);
            (f[i].trip, f[i].vehicle) = (TripId.wrap(salt()), salt());
            a[i] = sign(f[i].issuer, address(waybills), hash(f[i]));
            b[i] = sign(f[i].performer, address(waybills), hash(f[i]));
        }
        submit(address(waybills), abi.encodeCall(waybills.issueBatch, (f, a, b, true)));
        console2.log("contracts.issue_leaf_in_batch_of_20", _gas() / n);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_cascaded_settlement() public {
        AdvanceId id = approvedAdvance();
        deliver(TRIP, QUANTITY);
        cascade(mid, leaf, LEAF_FREIGHT);
        vm.warp(block.timestamp + 40 days);
        mint(settlement.collectionAccount(mid), MID_FREIGHT);
        submit(address(settlement), abi.encodeCall(settlement.settle, (mid)));
        _step("contracts.settle_and_repay_cascaded");
        assertState(id, AdvanceState.Repaid);
        payOut(keccak256(abi.encode(id, uint256(0))));
        console2.log("contracts.burn", _gas());
    }
}
