// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Vm} from "forge-std/Vm.sol";

import "../Base.t.sol";
import {Pure} from "./Pure.sol";
import {IWaybillRegistry} from "contracts/interfaces/IWaybillRegistry.sol";

/// @title Promise J: from every state every verb is tried; what moved is exactly the published table
/// @dev The table is tests/contracts/data/moves.json, which the Python side is held against too
/// (tests/architecture or tests/integration of chain and finance).
contract StatesTest is Base {
    function _table(string memory name) internal view returns (uint256[][] memory) {
        string memory json = vm.readFile("tests/contracts/data/moves.json");
        return abi.decode(vm.parseJson(json, string.concat(".", name)), (uint256[][]));
    }

    /// @dev All pairs: a pair is reached if and only if the table has it.
    /// @param moved from x 10 + to; in memory, because a snapshot that is taken back takes storage with it.
    function _compare(string memory name, uint8 states, bool[100] memory moved) internal view {
        uint256[][] memory table = _table(name);
        for (uint8 from = 0; from < states; from++) {
            for (uint8 to = 0; to < states; to++) {
                bool published = false;
                for (uint256 i = 0; i < table.length; i++) {
                    if (table[i][0] == from && table[i][1] == to) published = true;
                }
                assertEq(
                    moved[from * 10 + to],
                    published,
                    string.concat(name, ": ", vm.toString(from), " -> ", vm.toString(to))
                );
            }
        }
    }

    /// @dev What the contracts assert before each move is the same table.
    function test_the_tables_that_the_contracts_assert_are_the_published_ones() public {
        Pure lib = Pure(deployCode("Pure.sol:Pure"));
        bool[100] memory moved;
        for (uint8 i = 0; i < 100; i++) {
            moved[i] = lib.advanceMoves(AdvanceState(i / 10), AdvanceState(i % 10));
        }
        _compare("advance", 10, moved);
        bool[100] memory trips;
        bool[100] memory bills;
        for (uint8 i = 0; i < 36; i++) {
            trips[i / 6 * 10 + i % 6] = lib.tripMoves(TripState(i / 6), TripState(i % 6));
            bills[i / 6 * 10 + i % 6] = lib.billMoves(WaybillState(i / 6), WaybillState(i % 6));
        }
        _compare("trip", 6, trips);
        _compare("waybill", 6, bills);
    }

    // -- advances ---------------------------------------------------------------------------------

    function test_every_verb_from_every_state_of_an_advance_keeps_the_table() public {
        bool[100] memory moved;
        moved[1] = true; // a request comes from nothing: test_request_records_what_the_borrower_signed
        for (uint8 from = 1; from <= uint8(AdvanceState.Voided); from++) {
            uint256 clean = vm.snapshotState();
            AdvanceId id = _advanceIn(AdvanceState(from));
            assertState(id, AdvanceState(from));
            uint256 ready = vm.snapshotState();
            for (uint8 verb = 0; verb < 15; verb++) {
                for (uint256 later = 0; later < 3; later++) {
                    vm.warp(block.timestamp + [uint256(0), 10 days, 100 days][later]);
                    try this.tryAdvance(verb, id) {} catch {}
                    uint8 to = uint8(advances.get(id).state);
                    if (to != from) moved[from * 10 + to] = true;
                    vm.revertToState(ready);
                }
            }
            vm.revertToState(clean);
        }
        _compare("advance", 10, moved);
    }

    function _advanceIn(AdvanceState state) internal returns (AdvanceId id) {
        CreditLine memory l = lineForm();
        l.gated = state == AdvanceState.Releasable;
        issueChain();
        line = openLine(l);
        fund(LENDER, 50_000_00);
        mint(accountOf(SUB), 20_000_00);
        id = request(requestForm());
        if (state == AdvanceState.Requested) return id;
        if (state == AdvanceState.Declined) {
            act(id, 4, 0);
            return id;
        }
        agree(id);
        approve(approvalOf(id));
        if (state == AdvanceState.Approved) return id;
        if (state == AdvanceState.Voided) {
            cancel(leaf);
            advances.expire(id);
            return id;
        }
        deliver(TRIP, QUANTITY);
        if (state == AdvanceState.Releasable || state == AdvanceState.Released) return id;
        if (state == AdvanceState.Repaid) {
            repay(id, 20_000_00);
            return id;
        }
        vm.warp(block.timestamp + 60 days);
        act(id, 1, 0);
        if (state == AdvanceState.WrittenOff) act(id, 2, 0);
    }

    /// @dev One verb with everybody's good signature.
    function tryAdvance(uint8 verb, AdvanceId id) external {
        if (verb == 0) agree(id);
        else if (verb == 1) _agreeAndApprove(id);
        else if (verb == 2) deliver(TRIP, QUANTITY);
        else if (verb == 3) deliver(TRIP, QUANTITY / 2);
        else if (verb == 4) gate(id, true);
        else if (verb == 5) gate(id, false);
        else if (verb == 6) advances.retry(id);
        else if (verb == 7) advances.expire(id);
        else if (verb == 8) repay(id, 20_000_00);
        else if (verb == 14) _agreeAndApproveByRule(id);
        else act(id, verb - 8, advances.today() + 1);
    }

    function _agreeAndApprove(AdvanceId id) internal {
        agree(id);
        approve(approvalOf(id));
    }

    function _agreeAndApproveByRule(AdvanceId id) internal {
        setRule(ruleForm());
        agree(id);
        approveByRule(id);
    }

    // -- trips and waybills -----------------------------------------------------------------------

    function test_every_verb_from_every_state_of_a_trip_keeps_the_table() public {
        bool[100] memory moved;
        moved[1] = true; // a trip opens when its leaf is issued
        for (uint8 from = 1; from <= uint8(TripState.Void); from++) {
            uint256 clean = vm.snapshotState();
            _tripIn(TripState(from));
            assertState(TRIP, TripState(from));
            uint256 ready = vm.snapshotState();
            for (uint8 verb = 0; verb < 9; verb++) {
                for (uint256 later = 0; later < 2; later++) {
                    vm.warp(block.timestamp + later * 200 days);
                    try this.tryTrip(verb) {} catch {}
                    uint8 to = uint8(deliveries.stateOf(TRIP));
                    if (to != from) moved[from * 10 + to] = true;
                    vm.revertToState(ready);
                }
            }
            vm.revertToState(clean);
        }
        _compare("trip", 6, moved);
    }

    function _tripIn(TripState state) internal {
        issueChain();
        if (state == TripState.Open) return;
        if (state == TripState.Void) {
            cancel(leaf);
            return;
        }
        load(loadingOf(TRIP));
        if (state == TripState.Loaded) return;
        if (state == TripState.Held) {
            dispute(disputeOf(TRIP, CONSIGNEE));
            return;
        }
        drive(TRIP);
        confirm(confirmationOf(TRIP));
    }

    /// @dev One verb, or the two that complete.
    function tryTrip(uint8 verb) external {
        if (verb == 0) load(loadingOf(TRIP));
        else if (verb == 1) drive(TRIP);
        else if (verb == 2) confirm(confirmationOf(TRIP));
        else if (verb == 3) dispute(disputeOf(TRIP, CONSIGNEE));
        else if (verb == 4) resolveByArbiter(TRIP, 1);
        else if (verb == 5) resolveByArbiter(TRIP, 2);
        else if (verb == 6) deliveries.expire(TRIP);
        else if (verb == 7) cancel(leaf);
        else _complete();
    }

    function _complete() internal {
        drive(TRIP);
        confirm(confirmationOf(TRIP));
    }

    function test_every_verb_from_every_state_of_a_waybill_keeps_the_table() public {
        bool[100] memory moved;
        moved[1] = true; // issue comes from nothing: test_issue_records_what_both_signed
        for (uint8 from = 1; from <= uint8(WaybillState.Cancelled); from++) {
            uint256 clean = vm.snapshotState();
            _billIn(WaybillState(from));
            assertState(leaf, WaybillState(from));
            uint256 ready = vm.snapshotState();
            for (uint8 verb = 0; verb < 13; verb++) {
                vm.warp(block.timestamp + (verb == 6 ? 200 days : 0));
                // One verb may make two moves (delivered, then paid at once): the events tell each.
                vm.recordLogs();
                try this.tryBill(verb) {} catch {}
                Vm.Log[] memory logs = vm.getRecordedLogs();
                for (uint256 i = 0; i < logs.length; i++) {
                    if (logs[i].topics[0] != IWaybillRegistry.WaybillMoved.selector) continue;
                    if (logs[i].topics[1] != WaybillId.unwrap(leaf)) continue;
                    (uint8 a, uint8 b) = abi.decode(logs[i].data, (uint8, uint8));
                    moved[a * 10 + b] = true;
                }
                vm.revertToState(ready);
            }
            vm.revertToState(clean);
        }
        _compare("waybill", 6, moved);
    }

    function _billIn(WaybillState state) internal {
        if (state == WaybillState.Issued) issueChain();
        else if (state == WaybillState.InTransit) _tripIn(TripState.Loaded);
        else if (state == WaybillState.Cancelled) _tripIn(TripState.Void);
        else _tripIn(TripState.Delivered);
        if (state == WaybillState.Paid) payFreight(leaf, LEAF_FREIGHT);
    }

    function tryBill(uint8 verb) external {
        if (verb < 9) this.tryTrip(verb);
        else if (verb == 9) amend(amendmentOf(leaf));
        else if (verb == 10) credit(creditNote(leaf, LEAF_FREIGHT));
        else if (verb == 11) payFreight(leaf, LEAF_FREIGHT);
        else cancel(leaf);
    }
}
