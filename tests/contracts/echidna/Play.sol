// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";

import {CreditFacility} from "contracts/CreditFacility.sol";
import {DeliveryRegistry} from "contracts/DeliveryRegistry.sol";
import {FreightAdvance} from "contracts/FreightAdvance.sol";
import {FreightSettlement} from "contracts/FreightSettlement.sol";
import {PartyRegistry} from "contracts/PartyRegistry.sol";
import {SettlementToken} from "contracts/SettlementToken.sol";
import {WaybillRegistry} from "contracts/WaybillRegistry.sol";
import {LoanRecord} from "contracts/interfaces/ICreditFacility.sol";
import {AdvanceRecord, Due} from "contracts/interfaces/IFreightAdvance.sol";
import {PayoutRecord} from "contracts/interfaces/ISettlementToken.sol";
import {WaybillRecord} from "contracts/interfaces/IWaybillRegistry.sol";
import "contracts/types/AdvanceForms.sol";
import "contracts/types/CreditForms.sol";
import "contracts/types/DeliveryForms.sol";
import "contracts/types/Ids.sol";
import "contracts/types/MoneyForms.sol";
import "contracts/types/PartyForms.sol";
import "contracts/types/States.sol";
import "contracts/types/WaybillForms.sol";

/// @dev A party's wallet (ERC-1271) that signs whatever is shown with GOOD and nothing else: no cheat codes are needed.
contract Wallet {
    function isValidSignature(bytes32, bytes calldata signature) external pure returns (bytes4) {
        return
            signature.length == 1 && signature[0] == 0x01
                ? this.isValidSignature.selector
                : bytes4(0);
    }
}

/// @title Promises A to L in the hands of Echidna
/// @dev Plain EVM, no cheat codes: Echidna's own virtual machine plays it, moves the clock between calls and asks
/// `echidna_promises_A_to_L` after each. Its books are the contracts' own views, not events (invariants/Handler.sol reads those),
/// so the two campaigns do not share their eyes. `python -m tests.contracts.deep echidna`.
contract Play {
    bytes internal constant GOOD = hex"01";
    bytes internal constant FORGED = hex"02";
    uint256 internal constant MOST_JOBS = 3;
    uint64 internal constant FOR_EVER = 2 ** 31;
    uint128 internal constant STAKE = 50_000_00;
    uint256 internal constant CEILING_PPM = 240_000;

    PartyId internal constant CONSIGNOR = PartyId.wrap(11);
    PartyId internal constant CARRIER = PartyId.wrap(12);
    PartyId internal constant SUB = PartyId.wrap(13);
    PartyId internal constant DRIVER = PartyId.wrap(14);
    PartyId internal constant CONSIGNEE = PartyId.wrap(15);
    PartyId internal constant LENDER = PartyId.wrap(16);
    PartyId internal constant ATTESTOR1 = PartyId.wrap(21);
    PartyId internal constant ATTESTOR2 = PartyId.wrap(22);
    PartyId internal constant ATTESTOR3 = PartyId.wrap(23);
    PartyId internal constant CUSTODIAN1 = PartyId.wrap(31);
    PartyId internal constant CUSTODIAN2 = PartyId.wrap(32);
    PartyId internal constant ARBITER = PartyId.wrap(33);

    /// @dev One chain of three with its trip and its advance.
    struct Job {
        WaybillId[3] bills; // root, middle, leaf
        TripId trip;
        AdvanceId loan;
        uint128 principal;
        uint8 advance; // states as they were seen last
        uint8 delivery;
        uint8[3] waybills;
        uint8[3] said; // by each attestor: 0 nothing, 1 pass, 2 fail, 3 pass on another road
        bool receipt;
        bool watched; // its advance was approved: the lender's attestor must be among those who agree
    }

    AccessManager internal manager;
    PartyRegistry internal parties;
    WaybillRegistry internal waybills;
    DeliveryRegistry internal deliveries;
    SettlementToken internal token;
    CreditFacility internal facility;
    FreightAdvance internal advances;
    FreightSettlement internal settlement;

    Job[] internal jobs;
    LineId[2] internal lines;
    uint256 internal minted;
    uint256 internal burned;
    uint256 internal salts;
    /// @dev What was seen broken, a bit a letter; nothing ever clears it.
    uint256 public broken;
    /// @dev How far play came: a bit for each state of the three machines.
    uint256 public reachedAdvance;
    uint256 public reachedTrip;
    uint256 public reachedBill;

    constructor() {
        address a = address(this);
        manager = new AccessManager(a);
        parties = new PartyRegistry(address(manager), address(new Wallet()));
        waybills = new WaybillRegistry(parties, _made(5), _made(8), _made(9));
        deliveries = new DeliveryRegistry(address(manager), parties, waybills, _made(8), 2);
        token = new SettlementToken(address(manager), parties, _made(7), _made(9), 2 ** 90);
        facility = new CreditFacility(parties, token, _made(8));
        advances =
            new FreightAdvance(address(manager), parties, waybills, deliveries, facility, _made(9));
        settlement = new FreightSettlement(parties, waybills, advances, address(token));
        require(address(settlement) == _made(9) && address(advances) == _made(8), "wiring");
        _enrol();
        for (uint256 i = 0; i < 2; i++) {
            lines[i] = facility.openLine(_line(i == 1), GOOD, GOOD);
        }
        ApprovalRule memory rule =
            ApprovalRule(lines[0], CARRIER, 4_000_00, FOR_EVER, 10 days, "rule", FOR_EVER, _salt());
        facility.setRule(rule, GOOD);
        _mint(parties.accountOf(LENDER), STAKE);
        facility.moveVault(VaultMove(LENDER, true, STAKE, FOR_EVER, _salt()), GOOD);
    }

    /// @dev Where this contract's n-th creation lies (n below 128).
    function _made(uint8 n) private view returns (address) {
        return
            address(uint160(uint256(keccak256(abi.encodePacked(bytes2(0xd694), address(this), n)))));
    }

    function _enrol() private {
        PartyId[12] memory all = [
            CONSIGNOR,
            CARRIER,
            SUB,
            DRIVER,
            CONSIGNEE,
            LENDER,
            ATTESTOR1,
            ATTESTOR2,
            ATTESTOR3,
            CUSTODIAN1,
            CUSTODIAN2,
            ARBITER
        ];
        for (uint256 i = 0; i < all.length; i++) {
            PartyRegistration memory f =
                PartyRegistration(all[i], address(new Wallet()), "profile", FOR_EVER, _salt());
            parties.register(f, GOOD, GOOD);
        }
        deliveries.addAttestor(ATTESTOR1);
        deliveries.addAttestor(ATTESTOR2);
        deliveries.addAttestor(ATTESTOR3);
        deliveries.setArbiter(ARBITER);
        token.setCustodian(CUSTODIAN1, CUSTODIAN2);
    }

    function _line(bool gated) private returns (CreditLine memory f) {
        (f.lender, f.borrower, f.attestor) = (LENDER, SUB, ATTESTOR1);
        f.limit = 30_000_00;
        (f.ratePpm, f.penaltyPpm, f.ceilingPpm) = (109_500, 164_250, uint32(CEILING_PPM));
        (f.feeBps, f.advanceBps, f.toleranceBps) = (10, 9_000, 500);
        (f.tenorDays, f.graceDays) = (20, 3);
        f.gated = gated;
        (f.validUntil, f.terms, f.expires, f.salt) = (FOR_EVER, "terms", FOR_EVER, _salt());
    }

    // -- play -------------------------------------------------------------------------------------

    /// @dev A chain, its advance asked for and agreed to; sometimes approved at once.
    function book(uint256 seed) external {
        _book(_dice(seed));
        _look();
    }

    /// @dev From nothing to money in one call, so that most games have a loan that is out.
    function lend(uint256 seed) external {
        if (jobs.length == MOST_JOBS || advances.paused()) return;
        uint256 i = jobs.length;
        uint256 dice = _dice(seed);
        _book(dice - dice % 12 + 1);
        _look();
        _load(i);
        _look();
        _attest(i, 0, 7);
        _attest(i, 1, 7);
        _look();
        _confirm(i, dice >> 8);
        _look();
    }

    function _book(uint256 dice) private {
        if (jobs.length == MOST_JOBS) return;
        Waybill memory f;
        (f.issuer, f.performer, f.consignee) = (CONSIGNOR, CARRIER, CONSIGNEE);
        f.shippingNote = _salt();
        f.freight = uint128(100_00 + dice % 10_000_00);
        f.quantity = uint64(1_000 + (dice >> 32) % 30_000_000);
        f.loadFrom = uint64(block.timestamp);
        f.deliverBy = uint64(block.timestamp + 20 days);
        (f.document, f.expires) = ("contract", FOR_EVER);
        Job memory j;
        f.salt = _salt();
        j.bills[0] = waybills.issue(f, GOOD, GOOD);
        (f.parent, f.issuer, f.performer) = (j.bills[0], CARRIER, SUB);
        f.freight = f.freight * 9 / 10;
        f.salt = _salt();
        j.bills[1] = waybills.issue(f, GOOD, GOOD);
        (f.parent, f.issuer, f.performer) = (j.bills[1], SUB, DRIVER);
        if (dice % 4 == 0) f.quantity /= 2;
        f.freight = uint128(uint256(f.freight) * (60 + (dice >> 64) % 41) / 100);
        (f.trip, f.vehicle) = (TripId.wrap(_salt()), keccak256(abi.encode(dice % 3)));
        (f.plan, f.policy) = ("plan", "policy");
        // More than the parent has left is refused.
        uint128 freight = f.freight;
        f.freight = waybills.get(f.parent).freight + 1;
        _refused(address(waybills), abi.encodeCall(waybills.issue, (f, GOOD, GOOD)), "A");
        f.freight = freight;
        f.salt = _salt();
        j.bills[2] = waybills.issue(f, GOOD, GOOD);
        j.trip = f.trip;
        jobs.push(j);
        _ask(jobs.length - 1, dice >> 96);
        if (dice % 3 != 0) _approve(jobs.length - 1);
    }

    function _ask(uint256 i, uint256 dice) private {
        Job storage j = jobs[i];
        AdvanceRequest memory f;
        f.line = lines[dice % 2];
        (f.waybill, f.trip) = (j.bills[1], j.trip);
        (,,,, uint128 most) = waybills.receivableOf(f.waybill, f.trip);
        uint128 his = waybills.payableTo(DRIVER, j.bills[2], j.trip, j.bills[1]);
        most = most * 9 / 10;
        f.principal = his < most ? his : most;
        f.payees = new Payee[](1);
        f.payees[0] = Payee(DRIVER, j.bills[2], "account", f.principal);
        f.fingerprint = keccak256(abi.encode("fingerprint", dice % 5));
        (f.decision, f.expires, f.salt) = ("decision", FOR_EVER, _salt());
        (bool done, bytes memory id) =
            _call(address(advances), abi.encodeCall(advances.request, (f, GOOD)));
        if (!done) return;
        if (advances.paused()) _break("K");
        j.loan = abi.decode(id, (AdvanceId));
        j.principal = f.principal;
        advances.acknowledge(
            Acknowledgement(
                j.loan, CARRIER, j.bills[1], j.trip, LENDER, "notice", FOR_EVER, _salt()
            ),
            GOOD
        );
        advances.consent(PayeeConsent(j.loan, DRIVER, "account", FOR_EVER, _salt()), GOOD);
    }

    function approve(uint256 seed) external {
        if (jobs.length != 0) _approve(_dice(seed) % jobs.length);
        _look();
    }

    function _approve(uint256 i) private {
        Job storage j = jobs[i];
        if (j.loan == NO_ADVANCE) return;
        Approval memory f = Approval(
            j.loan, SUB, j.principal, uint64(block.timestamp + 10 days), FOR_EVER, _salt()
        );
        bytes32 fingerprint = advances.get(j.loan).fingerprint;
        bool taken = advances.isPledged(fingerprint);
        // By the lender's word on it, or by his rule on its line.
        bytes memory data = salts % 3 == 0
            ? abi.encodeCall(advances.approveByRule, (j.loan))
            : abi.encodeCall(advances.approve, (f, GOOD));
        (bool done,) = _call(address(advances), data);
        if (!done) return;
        j.watched = true;
        if (taken) _break("F");
        if (advances.paused()) _break("K");
        LineId on = advances.get(j.loan).line;
        (, uint128 limit,,) = facility.get(on);
        if (uint256(facility.reserved(on)) + facility.drawn(on) > limit) _break("E");
    }

    function load(uint256 seed) external {
        if (jobs.length != 0) _load(_dice(seed) % jobs.length);
        _look();
    }

    function _load(uint256 i) private {
        Job storage j = jobs[i];
        (uint32 version, bytes32 vehicle) = waybills.vehicleOf(j.trip);
        TripId other = deliveries.tripOfVehicle(vehicle);
        Loading memory f = Loading(
            j.trip,
            version,
            vehicle,
            waybills.get(j.bills[2]).quantity,
            uint64(block.timestamp),
            "slip",
            FOR_EVER,
            _salt()
        );
        bool open = deliveries.stateOf(j.trip) == TripState.Open;
        (bool done,) = _call(address(deliveries), abi.encodeCall(deliveries.load, (f, GOOD)));
        if (done && open && other != NO_TRIP) _break("F");
    }

    function attest(uint256 seed) external {
        uint256 dice = _dice(seed);
        if (jobs.length != 0) _attest(dice % jobs.length, (dice >> 8) % 3, (dice >> 16) % 8);
        _look();
    }

    function _attest(uint256 i, uint256 who, uint256 kind) private {
        Job storage j = jobs[i];
        Attestation memory f;
        (f.version, f.vehicle, f.plan, f.policy) = waybills.tripTerms(j.trip);
        f.trip = j.trip;
        f.attestor = [ATTESTOR1, ATTESTOR2, ATTESTOR3][who];
        f.root = kind == 1 ? bytes32("another road") : bytes32("road");
        f.verdict = uint8(kind == 0 ? Verdict.Fail : Verdict.Pass);
        (f.findings, f.expires, f.salt) = ("findings", FOR_EVER, _salt());
        bool before = deliveries.stateOf(j.trip) == TripState.Delivered;
        (bool done,) = _release(address(deliveries), abi.encodeCall(deliveries.attest, (f, GOOD)));
        if (done && !before) j.said[who] = kind == 0 ? 2 : kind == 1 ? 3 : 1;
    }

    function confirm(uint256 seed) external {
        uint256 dice = _dice(seed);
        if (jobs.length != 0) _confirm(dice % jobs.length, dice >> 8);
        _look();
    }

    function _confirm(uint256 i, uint256 dice) private {
        Job storage j = jobs[i];
        Confirmation memory f;
        (f.version, f.vehicle) = waybills.vehicleOf(j.trip);
        (f.trip, f.by) = (j.trip, CONSIGNEE);
        uint64 quantity = waybills.get(j.bills[2]).quantity;
        uint256 kind = dice % 8;
        f.accepted = kind == 0 ? 0 : kind < 3 ? uint64(uint256(quantity) * 97 / 100) : quantity;
        (f.document, f.at, f.expires, f.salt) =
        ("receipt", uint64(block.timestamp), FOR_EVER, _salt());
        (bool done,) = _release(address(deliveries), abi.encodeCall(deliveries.confirm, (f, GOOD)));
        if (done) j.receipt = true;
    }

    function dispute(uint256 seed) external {
        if (jobs.length == 0 || seed % 4 != 0) return;
        Job storage j = jobs[_dice(seed) % jobs.length];
        Dispute memory f = Dispute(j.trip, DRIVER, "reason", FOR_EVER, _salt());
        _call(address(deliveries), abi.encodeCall(deliveries.dispute, (f, GOOD)));
        _look();
    }

    function resolve(uint256 seed) external {
        if (jobs.length == 0) return;
        uint256 dice = _dice(seed);
        Job storage j = jobs[dice % jobs.length];
        bytes[] memory s = new bytes[](1);
        s[0] = GOOD;
        uint8 outcome = (dice >> 8) % 4 == 0 ? 2 : 1;
        Resolution memory f = Resolution(j.trip, outcome, "agreed", FOR_EVER, _salt());
        _release(address(deliveries), abi.encodeCall(deliveries.resolve, (f, s, true)));
        _look();
    }

    function gate(uint256 seed) external {
        if (jobs.length == 0) return;
        uint256 dice = _dice(seed);
        Gate memory f =
            Gate(jobs[dice % jobs.length].loan, (dice >> 8) % 4 != 0, "law", FOR_EVER, _salt());
        _release(address(advances), abi.encodeCall(advances.gate, (f, GOOD)));
        _look();
    }

    /// @dev Verbs that need no signature.
    function nudge(uint256 seed) external {
        if (jobs.length == 0) return;
        uint256 dice = _dice(seed);
        Job storage j = jobs[dice % jobs.length];
        uint256 kind = (dice >> 8) % 3;
        if (kind == 0) _release(address(advances), abi.encodeCall(advances.retry, (j.loan)));
        if (kind == 1) _call(address(advances), abi.encodeCall(advances.expire, (j.loan)));
        if (kind == 2) _call(address(deliveries), abi.encodeCall(deliveries.expire, (j.trip)));
        _look();
    }

    function pay(uint256 seed) external {
        if (jobs.length == 0) return;
        uint256 dice = _dice(seed);
        Job storage j = jobs[dice % jobs.length];
        // The debtor of a released advance pays more often than others, and half the time all of it.
        bool lent = j.advance == uint8(AdvanceState.Released);
        WaybillId bill = j.bills[lent && (dice >> 8) % 4 != 0 ? 1 : (dice >> 12) % 3];
        uint256 owed = waybills.outstanding(bill);
        uint256 amount = (dice >> 16) % 2 == 0 ? owed : (dice >> 24) % (owed * 5 / 4 + 1);
        _mint(settlement.collectionAccount(bill), uint128(1 + amount));
        _call(address(settlement), abi.encodeCall(settlement.settle, (bill)));
        _look();
    }

    function cascade(uint256 seed) external {
        if (jobs.length == 0) return;
        uint256 dice = _dice(seed);
        Job storage j = jobs[dice % jobs.length];
        uint256 k = (dice >> 8) % 2;
        Cascade memory f =
            Cascade(j.bills[k], j.bills[k + 1], uint128(1 + dice % 1_000_00), FOR_EVER, _salt());
        _call(address(settlement), abi.encodeCall(settlement.signCascade, (f, GOOD)));
    }

    function repay(uint256 seed) external {
        if (jobs.length == 0) return;
        uint256 dice = _dice(seed);
        AdvanceId loan = jobs[dice % jobs.length].loan;
        Repayment memory f = Repayment(loan, uint128(1 + dice % 5_000_00), FOR_EVER, _salt());
        _call(address(advances), abi.encodeCall(advances.repay, (f, GOOD)));
        _look();
    }

    function act(uint256 seed) external {
        if (jobs.length == 0) return;
        uint256 dice = _dice(seed);
        AdvanceId loan = jobs[dice % jobs.length].loan;
        uint8 what = uint8(1 + (dice >> 8) % 5);
        // Once it is late, default and then written off: else these states are hardly ever seen.
        uint8 state = jobs[dice % jobs.length].advance;
        bool late = advances.today() > advances.get(loan).dueDay + 3;
        if (state == uint8(AdvanceState.Released) && late && dice % 8 != 0) what = 1;
        if (state == uint8(AdvanceState.Defaulted)) what = 2;
        uint128 value = what == 3 ? advances.today() + 1 : uint128(1 + dice % 100);
        LenderAct memory f = LenderAct(loan, what, value, "letter", FOR_EVER, _salt());
        _call(address(advances), abi.encodeCall(advances.act, (f, GOOD)));
        _look();
    }

    function bank(uint256 seed) external {
        if (jobs.length == 0) return;
        bytes32 payout = _payout(jobs[_dice(seed) % jobs.length].loan);
        PayoutReceipt memory f = PayoutReceipt(payout, _salt(), 0);
        (bool done,) = _call(address(token), abi.encodeCall(token.confirmPayout, (f, GOOD, GOOD)));
        if (done) burned += token.payoutOf(payout).amount;
        _look();
    }

    function line(uint256 seed) external {
        uint256 dice = _dice(seed);
        uint128 limit = uint128(100_00 + dice % 40_000_00);
        LineChange memory f =
            LineChange(lines[dice % 2], limit, dice % 7 == 0, FOR_EVER, FOR_EVER, _salt());
        facility.changeLine(f, GOOD, GOOD);
        bool deposit = (dice >> 8) % 2 == 0;
        uint128 most = deposit ? token.freeBalance(LENDER) : facility.cash(LENDER) / 4;
        if (most == 0) return;
        facility.moveVault(
            VaultMove(LENDER, deposit, uint128(1 + dice % most), FOR_EVER, _salt()), GOOD
        );
        _look();
    }

    function cancel(uint256 seed) external {
        if (jobs.length == 0 || seed % 4 != 0) return;
        uint256 dice = _dice(seed);
        WaybillId bill = jobs[dice % jobs.length].bills[(dice >> 8) % 3];
        Cancellation memory f = Cancellation(bill, waybills.get(bill).version, FOR_EVER, _salt());
        _call(address(waybills), abi.encodeCall(waybills.cancel, (f, GOOD, GOOD)));
        _look();
    }

    function credit(uint256 seed) external {
        if (jobs.length == 0 || seed % 3 != 0) return;
        uint256 dice = _dice(seed);
        WaybillId bill = jobs[dice % jobs.length].bills[(dice >> 8) % 3];
        CreditNote memory f = CreditNote(bill, uint128(1 + dice % 50_00), "note", FOR_EVER, _salt());
        _call(address(waybills), abi.encodeCall(waybills.credit, (f, GOOD, GOOD, GOOD)));
        _look();
    }

    function pause(uint256 seed) external {
        if (advances.paused()) advances.unpause();
        else if (seed % 5 == 0) advances.pause();
    }

    /// @dev What is not signed by who must sign it: refused, whatever it is.
    function forge(uint256 seed) external {
        if (jobs.length == 0) return;
        uint256 dice = _dice(seed);
        Job storage j = jobs[dice % jobs.length];
        bytes memory data;
        address to = address(advances);
        uint256 kind = (dice >> 8) % 7;
        if (kind == 0) {
            data = abi.encodeCall(
                advances.approve,
                (Approval(j.loan, SUB, j.principal, FOR_EVER, FOR_EVER, _salt()), FORGED)
            );
        } else if (kind == 1) {
            data = abi.encodeCall(advances.gate, (Gate(j.loan, true, 0, FOR_EVER, _salt()), FORGED));
        } else if (kind == 2) {
            data = abi.encodeCall(advances.repay, (Repayment(j.loan, 1, FOR_EVER, _salt()), FORGED));
        } else if (kind == 3) {
            data = abi.encodeCall(advances.payPayee, (j.loan, 0));
        } else if (kind == 4) {
            to = address(token);
            data = abi.encodeCall(token.move, (address(facility), parties.accountOf(SUB), 1));
        } else if (kind == 5) {
            to = address(facility);
            data = abi.encodeCall(
                facility.moveVault, (VaultMove(LENDER, false, 1, FOR_EVER, _salt()), FORGED)
            );
        } else {
            to = address(waybills);
            data = abi.encodeCall(waybills.recordPaid, (j.bills[0], 1));
        }
        _refused(to, data, "B");
        _look();
    }

    // -- the promises -----------------------------------------------------------------------------

    /// @dev What Echidna asks after each call.
    function echidna_promises_A_to_L() external view returns (bool) {
        return broken == 0 && holds();
    }

    /// @dev What can be judged from the contracts' present state alone.
    function holds() public view returns (bool) {
        return _conserved() && _vault() && _chains() && _loans();
    }

    /// @dev G: every fen that exists lies on an account that is known here.
    function _conserved() private view returns (bool) {
        uint256 sum = token.balanceOf(address(facility));
        PartyId[6] memory all = [CONSIGNOR, CARRIER, SUB, DRIVER, CONSIGNEE, LENDER];
        for (uint256 i = 0; i < all.length; i++) {
            sum += token.balanceOf(parties.accountOf(all[i]));
        }
        for (uint256 i = 0; i < jobs.length; i++) {
            for (uint256 k = 0; k < 3; k++) {
                sum += token.balanceOf(settlement.collectionAccount(jobs[i].bills[k]));
            }
        }
        return sum == token.totalSupply() && sum == minted - burned;
    }

    /// @dev E: the vault is cash and reserves; each reserve and each drawn fen belongs to an advance.
    function _vault() private view returns (bool) {
        uint256 reserved = uint256(facility.reserved(lines[0])) + facility.reserved(lines[1]);
        uint256 drawn = uint256(facility.drawn(lines[0])) + facility.drawn(lines[1]);
        if (token.balanceOf(address(facility)) != facility.cash(LENDER) + reserved) return false;
        for (uint256 i = 0; i < jobs.length; i++) {
            if (jobs[i].loan == NO_ADVANCE) continue;
            AdvanceRecord memory a = advances.get(jobs[i].loan);
            if (a.state == AdvanceState.Approved || a.state == AdvanceState.Releasable) {
                reserved -= a.principal;
            } else if (a.state == AdvanceState.Released || a.state == AdvanceState.Defaulted) {
                drawn -= a.outstanding;
            }
        }
        return reserved == 0 && drawn == 0;
    }

    /// @dev A and I: children within their parent, nobody paid more than he earned.
    function _chains() private view returns (bool) {
        for (uint256 i = 0; i < jobs.length; i++) {
            for (uint256 k = 0; k < 3; k++) {
                WaybillRecord memory w = waybills.get(jobs[i].bills[k]);
                if (w.paid > uint256(w.freight) * w.accepted / w.quantity) return false;
                if (w.childFreight > w.freight || w.childQuantity > w.quantity) return false;
                if (k == 2) continue;
                WaybillRecord memory c = waybills.get(jobs[i].bills[k + 1]);
                bool live = c.state != WaybillState.Cancelled;
                if (c.issuer != w.performer || w.childFreight != (live ? c.freight : 0)) {
                    return false;
                }
            }
        }
        return true;
    }

    /// @dev D, H, L: one payment to the payee that was approved, after delivery, within the cost that was agreed.
    function _loans() private view returns (bool) {
        for (uint256 i = 0; i < jobs.length; i++) {
            Job storage j = jobs[i];
            if (j.loan == NO_ADVANCE) continue;
            PayoutRecord memory p = token.payoutOf(_payout(j.loan));
            LoanRecord memory n = facility.loanOf(j.loan);
            if (n.drawn != p.amount || p.amount > j.principal) return false;
            bool delivered = deliveries.stateOf(j.trip) == TripState.Delivered;
            if (delivered && advances.get(j.loan).state == AdvanceState.Approved) return false;
            if (p.amount == 0) continue;
            if (!delivered || p.party != DRIVER || p.account != "account") return false;
            uint32 day = advances.today();
            Due memory d = advances.due(j.loan, day);
            Due memory later = advances.due(j.loan, day + 1);
            uint256 now_ = uint256(d.fee) + d.penalty + d.interest;
            if (uint256(later.fee) + later.penalty + later.interest < now_) return false;
            uint256 paid = uint256(n.feePaid) + n.penaltyPaid + n.interestPaid;
            uint256 since = day > n.startDay ? day - n.startDay : 0;
            if (paid + now_ > uint256(n.drawn) * CEILING_PPM * since / 365_000_000) return false;
        }
        return true;
    }

    /// @dev C and J: what moved since the last look moved along its table, and trips complete exactly when they may.
    function _look() private {
        for (uint256 i = 0; i < jobs.length; i++) {
            Job storage j = jobs[i];
            uint8 now_ = uint8(deliveries.stateOf(j.trip));
            if (!_tripMoves(j.delivery, now_)) _break("J");
            j.delivery = now_;
            reachedTrip |= 1 << now_;
            bool ready = j.receipt && _agreed(j);
            if (now_ == uint8(TripState.Loaded) && ready) _break("C");
            if (now_ == uint8(TripState.Delivered) && !ready) _break("C");
            if (j.loan != NO_ADVANCE) {
                now_ = uint8(advances.get(j.loan).state);
                if (!_advanceMoves(j.advance, now_)) _break("J");
                j.advance = now_;
                reachedAdvance |= 1 << now_;
            }
            for (uint256 k = 0; k < 3; k++) {
                now_ = uint8(waybills.get(j.bills[k]).state);
                if (!_billMoves(j.waybills[k], now_)) _break("J");
                j.waybills[k] = now_;
                reachedBill |= 1 << now_;
            }
        }
    }

    /// @dev Two of three on the same road, the lender's choice among them where there is one. An advance approved after two
    /// others had agreed can leave a trip agreed no more, and one approved after completion does not happen.
    function _agreed(Job storage j) private view returns (bool) {
        for (uint8 road = 1; road <= 3; road += 2) {
            uint256 votes = 0;
            for (uint256 k = 0; k < 3; k++) {
                if (j.said[k] == road) votes++;
            }
            if (votes >= 2 && (!j.watched || j.said[0] == road)) return true;
        }
        return false;
    }

    function _in(uint8 from, uint8 to, bytes memory moves) private pure returns (bool) {
        if (from == to) return true;
        for (uint256 i = 0; i < moves.length; i++) {
            if (uint8(moves[i]) == from * 16 + to) return true;
        }
        return false;
    }

    function _advanceMoves(uint8 from, uint8 to) private pure returns (bool) {
        // From nothing to approved is two moves of one call of `book`.
        return _in(from, to, hex"0102121823242934394546656775");
    }

    function _tripMoves(uint8 from, uint8 to) private pure returns (bool) {
        // From held to delivered is two moves: resolved, and everything was there already.
        return _in(from, to, hex"011215232425323435");
    }

    function _billMoves(uint8 from, uint8 to) private pure returns (bool) {
        // In transit to paid is two moves: delivered with nothing owed.
        return _in(from, to, hex"01121523242534");
    }

    // -- inside -----------------------------------------------------------------------------------

    function _call(address to, bytes memory data) private returns (bool done, bytes memory said) {
        (done, said) = to.call(data);
    }

    /// @dev D: whatever a release does, the borrower's balance stays.
    function _release(address to, bytes memory data)
        private
        returns (bool done, bytes memory said)
    {
        uint256 before = token.balanceOf(parties.accountOf(SUB));
        (done, said) = to.call(data);
        if (token.balanceOf(parties.accountOf(SUB)) != before) _break("D");
    }

    function _refused(address to, bytes memory data, bytes1 letter) private {
        (bool done,) = to.call(data);
        if (done) _break(letter);
    }

    function _break(bytes1 letter) private {
        broken |= 1 << (uint8(letter) - uint8(bytes1("A")));
    }

    function _mint(address to, uint128 amount) private {
        token.mint(MintReceipt(_salt(), to, amount, 0), GOOD, GOOD);
        minted += amount;
    }

    function _payout(AdvanceId loan) private pure returns (bytes32) {
        return keccak256(abi.encode(loan, uint256(0)));
    }

    function _salt() private returns (bytes32) {
        return bytes32(++salts);
    }

    function _dice(uint256 seed) private returns (uint256) {
        return uint256(keccak256(abi.encode(seed, ++salts)));
    }
}
