// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Vm} from "forge-std/Vm.sol";

import "../Base.t.sol";
import {ICreditFacility, LoanRecord} from "contracts/interfaces/ICreditFacility.sol";
import {IDeliveryRegistry} from "contracts/interfaces/IDeliveryRegistry.sol";
import {AdvanceRecord, Due, IFreightAdvance} from "contracts/interfaces/IFreightAdvance.sol";
import {IFreightSettlement} from "contracts/interfaces/IFreightSettlement.sol";
import {ISettlementToken} from "contracts/interfaces/ISettlementToken.sol";
import {IWaybillRegistry, WaybillRecord} from "contracts/interfaces/IWaybillRegistry.sol";

/// @title Plays all parties at random and keeps its own books of what must be true
/// @dev Each action picks something in a state where it may succeed, so that runs reach deep states; whether it was
/// accepted is counted (`accepted`, `refusals`). After each action the logs are read against the handler's own model;
/// what is wrong is kept under its letter and the invariants ask for it.
contract Handler is Base {
    PartyId internal constant FLEET = PartyId.wrap(18);
    uint256 internal constant MOST_TRIPS = 10;
    uint256 internal constant MOST_ADVANCES = 16;

    struct Said {
        bytes32 outcome;
        uint8 verdict;
    }

    // -- what exists ------------------------------------------------------------------------------

    TripId[] public trips;
    WaybillId[] public bills;
    AdvanceId[] public loans;
    LineId[2] public lines;
    PartyId[4] internal attestorPool = [ATTESTOR1, ATTESTOR2, ATTESTOR3, ARBITER];
    mapping(TripId => WaybillId) internal borrowersBill;
    bytes[] internal spent; // calldata that was accepted once: to be played again
    address[] internal spentAt;
    uint256 private _spent;

    // -- the handler's own books ------------------------------------------------------------------

    mapping(TripId => mapping(PartyId => Said)) internal said;
    mapping(TripId => bool) internal reviewAccepted;
    mapping(TripId => bool) internal receipt;
    mapping(TripId => uint256) public completions;
    mapping(AdvanceId => uint256) public paid;
    mapping(AdvanceId => mapping(PartyId => uint256)) public payments;
    mapping(AdvanceId => uint256) public releases;
    mapping(AdvanceId => uint256) public chargesPaid;
    mapping(AdvanceId => uint256) public principalPaid;
    mapping(AdvanceId => uint256) public ceilingNum;
    mapping(AdvanceId => AdvanceState) public advanceByEvents;
    mapping(TripId => TripState) public tripByEvents;
    mapping(WaybillId => WaybillState) public billByEvents;
    mapping(bytes32 => AdvanceId) internal pledgedBy;
    uint256 public minted;
    uint256 public burned;
    bool public paused;

    mapping(bytes1 letter => string) public wrong;
    mapping(bytes32 action => uint256) public accepted;
    mapping(bytes4 selector => uint256) public refusals;
    mapping(uint8 state => uint256) public advancesReached;
    mapping(uint8 state => uint256) public tripsReached;
    mapping(uint8 state => uint256) public billsReached;

    bytes4[] private _refused; // each once
    bytes32[] private _actions; // accepted, each once
    bytes32 private _action;
    uint256 private _logs;

    modifier action(bytes32 name) {
        _action = name;
        _;
    }

    constructor() {
        vm.warp(START);
        deploy();
        enrolAll();
        enrol(FLEET);
        for (uint256 i = 0; i < 2; i++) {
            CreditLine memory f = lineForm();
            f.toleranceBps = 500;
            f.tenorDays = 20;
            f.validUntil = START + 3650 days;
            if (i == 1) (f.lender, f.gated, f.feeBps) = (LENDER2, true, 0);
            lines[i] = openLine(f);
            mint(accountOf(f.lender), 30_000_00);
            minted += 30_000_00;
            moveVault(f.lender, true, 30_000_00);
        }
    }

    /// @dev Long, so that forms are still in time when they are played again.
    function soon() internal view override returns (uint64) {
        return uint64(block.timestamp + 3650 days);
    }

    uint256 private _steps;

    /// @dev The only call that campaigns make: one action, the ones that lead far more often than the others. The seed is hashed
    /// with the number of the step, because a fuzzer loves the same few values.
    function step(uint256 seed) external {
        bytes4[43] memory actions = [
            this.lend.selector,
            this.lend.selector,
            this.lend.selector,
            this.newChain.selector,
            this.newChain.selector,
            this.addLeaf.selector,
            this.finance.selector,
            this.finance.selector,
            this.finance.selector,
            this.ask.selector,
            this.approveOne.selector,
            this.carry.selector,
            this.carry.selector,
            this.loadOne.selector,
            this.commitOne.selector,
            this.attestOne.selector,
            this.reviewOne.selector,
            this.confirmOne.selector,
            this.disputeOne.selector,
            this.resolveOne.selector,
            this.expireTrip.selector,
            this.gateOne.selector,
            this.retryOne.selector,
            this.expireOne.selector,
            this.payOne.selector,
            this.payOne.selector,
            this.repayOne.selector,
            this.actOne.selector,
            this.actOne.selector,
            this.cascadeOne.selector,
            this.lineOne.selector,
            this.amendOne.selector,
            this.cancelOne.selector,
            this.wait.selector,
            this.wait.selector,
            this.replay.selector,
            this.replay.selector,
            this.forge.selector,
            this.attestorOne.selector,
            this.payoutOne.selector,
            this.creditOne.selector,
            this.vaultOne.selector,
            this.pauseOne.selector
        ];
        uint256 dice = uint256(keccak256(abi.encode(seed, _steps++)));
        (bool done, bytes memory why) =
            address(this).call(abi.encodeWithSelector(actions[dice % actions.length], dice >> 16));
        if (!done) {
            assembly ("memory-safe") {
                revert(add(why, 32), mload(why))
            }
        }
    }

    // -- business ---------------------------------------------------------------------------------

    function newChain(uint256 seed) external action("newChain") {
        _newChain(seed);
    }

    function _newChain(uint256 seed) internal {
        if (trips.length >= MOST_TRIPS) return;
        Waybill memory f = rootForm();
        f.expires = uint64(block.timestamp) + 1 days;
        f.loadFrom = uint64(block.timestamp);
        f.deliverBy = uint64(block.timestamp) + 30 days;
        f.shippingNote = salt();
        f.freight = uint128(_in(seed, 1_000, 10_000_00));
        WaybillId top = _issue(f);
        f = _under(top, SUB, f);
        WaybillId second = _issue(f);
        WaybillId above = second;
        if (seed % 2 == 0) {
            f = _under(above, FLEET, f);
            above = _issue(f);
        }
        _leafUnder(above, second, seed % 3 == 0 ? 2 : 1);
    }

    function addLeaf(uint256 seed) external action("addLeaf") {
        if (trips.length == 0 || trips.length >= MOST_TRIPS) return;
        TripId trip = trips[seed % trips.length];
        WaybillId above = waybills.get(waybills.leafOf(trip)).parent;
        _leafUnder(above, borrowersBill[trip], 1);
    }

    /// @dev A leaf for a part of what the parent has left; sometimes for more, which must be refused.
    function _leafUnder(WaybillId above, WaybillId second, uint64 part) internal {
        WaybillRecord memory p = waybills.get(above);
        Waybill memory f = leafForm(above);
        (f.issuer, f.shippingNote) = (p.performer, noteOf[above]);
        (f.loadFrom, f.deliverBy) = (p.loadFrom, p.deliverBy);
        f.freight = (p.freight - p.childFreight) / part;
        f.quantity = (p.quantity - p.childQuantity) / part;
        f.trip = TripId.wrap(salt());
        f.vehicle = keccak256(abi.encode("vehicle", uint256(salt()) % 16));
        WaybillId id = _issue(f);
        if (waybills.get(id).state == WaybillState.None) return;
        trips.push(f.trip);
        borrowersBill[f.trip] = second;
    }

    mapping(WaybillId => bytes32) internal noteOf;

    function _under(WaybillId above, PartyId performer, Waybill memory up)
        internal
        returns (Waybill memory f)
    {
        f = midForm(above);
        (f.issuer, f.performer, f.shippingNote) = (up.performer, performer, up.shippingNote);
        (f.loadFrom, f.deliverBy, f.quantity) = (up.loadFrom, up.deliverBy, up.quantity);
        f.freight = up.freight * 9 / 10;
    }

    function _issue(Waybill memory f) internal returns (WaybillId id) {
        bytes32 h = hash(f);
        id = WaybillId.wrap(h);
        bytes memory a = sign(f.issuer, address(waybills), h);
        bytes memory b = sign(f.performer, address(waybills), h);
        if (_play(address(waybills), abi.encodeCall(waybills.issue, (f, a, b)))) {
            bills.push(id);
            noteOf[id] = f.shippingNote;
        }
    }

    /// @dev Asked, agreed and approved in one step, so that runs get far.
    function finance(uint256 seed) external action("finance") {
        if (paused && seed % 4 != 0) _pauseOrNot();
        _ask(seed);
        _approve(seed);
    }

    function ask(uint256 seed) external action("ask") {
        _ask(seed);
    }

    function _ask(uint256 seed) internal {
        (bool found, TripId trip) = _pickTrip(seed, TripState.Open, TripState.Loaded);
        if (!found || loans.length >= MOST_ADVANCES) return;
        for (uint256 i = 0; i < trips.length && (seed >> 8) % 4 != 0; i++) {
            bool free = advances.advanceOf(trips[i]) == NO_ADVANCE;
            if (free && deliveries.stateOf(trips[i]) <= TripState.Loaded) trip = trips[i];
        }
        AdvanceRequest memory f;
        f.line = lines[seed % 2];
        (f.waybill, f.trip) = (borrowersBill[trip], trip);
        WaybillId low = waybills.leafOf(trip);
        WaybillId up = waybills.get(low).parent;
        bool two = up != f.waybill;
        f.payees = new Payee[](two ? 2 : 1);
        uint128 most = _share(f.waybill, low) * 9 / 10;
        uint128 first = _share(low, low);
        if (first > most) first = most;
        f.payees[0] = Payee(DRIVER, low, "driver's", first);
        f.principal = first;
        if (two) {
            uint128 rest = most - first;
            uint128 cap = _share(up, low);
            if (rest > cap) rest = cap;
            if (rest == 0) return;
            f.payees[1] = Payee(FLEET, up, "fleet's", rest);
            f.principal += rest;
        }
        f.fingerprint = keccak256(abi.encode("fingerprint", trip));
        f.decision = "decision";
        (f.expires, f.salt) = (soon(), salt());
        bytes32 h = hash(f);
        AdvanceId id = AdvanceId.wrap(h);
        bytes memory s = sign(SUB, address(advances), h);
        if (!_play(address(advances), abi.encodeCall(advances.request, (f, s)))) return;
        loans.push(id);
        Acknowledgement memory k = acknowledgementOf(id);
        s = sign(k.debtor, address(advances), hash(k));
        _play(address(advances), abi.encodeCall(advances.acknowledge, (k, s)));
        for (uint256 i = 0; i < f.payees.length; i++) {
            PayeeConsent memory c = consentOf(id, i);
            s = sign(c.party, address(advances), hash(c));
            _play(address(advances), abi.encodeCall(advances.consent, (c, s)));
        }
    }

    function _share(WaybillId id, WaybillId low) internal view returns (uint128) {
        WaybillRecord memory w = waybills.get(id);
        return uint128(uint256(w.freight) * waybills.get(low).quantity / w.quantity) - w.credited;
    }

    function approveOne(uint256 seed) external action("approve") {
        _approve(seed);
    }

    function _approve(uint256 seed) internal {
        (bool found, AdvanceId id) = _pickLoan(seed, AdvanceState.Requested);
        if (!found) return;
        Approval memory f = approvalOf(id);
        f.approvedUntil = uint64(block.timestamp + _in(seed, 1 days, 20 days));
        bytes memory s = sign(advances.get(id).lender, address(advances), hash(f));
        bytes memory data = abi.encodeCall(advances.approve, (f, s));
        if ((seed >> 16) % 4 == 0) {
            _setRule(id, seed >> 24);
            data = abi.encodeCall(advances.approveByRule, (id));
        }
        if (!_play(address(advances), data)) return;
        AdvanceRecord memory r = advances.get(id);
        (, uint128 limit,,) = facility.get(r.line);
        if (uint256(facility.reserved(r.line)) + facility.drawn(r.line) > limit) {
            wrong["E"] = "reserved + drawn above the limit at an approval";
        }
        if (AdvanceId.unwrap(pledgedBy[r.fingerprint]) != 0) {
            wrong["F"] = "a receivable was pledged twice";
        }
        pledgedBy[r.fingerprint] = id;
        reviewAccepted[r.trip] = false; // a new watch starts afresh
    }

    /// @dev A rule of the line, sometimes too small, for somebody else or over at once.
    function _setRule(AdvanceId id, uint256 seed) internal {
        ApprovalRule memory f;
        f.line = advances.get(id).line;
        f.debtor = seed % 8 == 0 ? CONSIGNOR : seed % 2 == 0 ? CARRIER : NOBODY;
        f.most = seed % 8 == 1 ? 1 : 50_000_00;
        f.until = uint64(block.timestamp + 10 days);
        f.validFor = 10 days;
        (f.expires, f.salt) = (soon(), salt());
        bytes memory s = sign(advances.get(id).lender, address(facility), hash(f));
        _play(address(facility), abi.encodeCall(facility.setRule, (f, s)));
    }

    // -- road -------------------------------------------------------------------------------------

    /// @dev Loaded, attested twice and received whole in one step, so that runs get far.
    function carry(uint256 seed) external action("carry") {
        _carry(seed);
    }

    /// @dev From nothing to money: a chain, its advance, the drive, so that many loans are out and old.
    function lend(uint256 seed) external action("lend") {
        if (paused) _pauseOrNot();
        _newChain(seed);
        _ask(seed);
        _approve(seed);
        _carry(seed);
    }

    /// @dev A financed trip if there is one; now and then any.
    function _carry(uint256 seed) internal {
        (bool found, TripId trip) = _pickTrip(seed, TripState.Open, TripState.Open);
        bool financed = false;
        for (uint256 i = 0; i < loans.length && !financed; i++) {
            AdvanceRecord memory a = advances.get(loans[i]);
            financed =
                a.state == AdvanceState.Approved && deliveries.stateOf(a.trip) == TripState.Open;
            if (financed) trip = a.trip;
        }
        if (!financed && (seed >> 32) % 4 != 0) return;
        if (!found) return;
        _load(trip);
        if (deliveries.stateOf(trip) != TripState.Loaded) return;
        _attest(trip, ATTESTOR1, 15);
        _attest(trip, ATTESTOR2, 15);
        _confirm(trip, seed, 6);
    }

    function loadOne(uint256 seed) external action("load") {
        (bool found, TripId trip) = _pickTrip(seed, TripState.Open, TripState.Open);
        if (found) _load(trip);
    }

    function _load(TripId trip) internal {
        Loading memory f = loadingOf(trip);
        bytes memory s = sign(DRIVER, address(deliveries), hash(f));
        _play(address(deliveries), abi.encodeCall(deliveries.load, (f, s)));
    }

    function commitOne(uint256 seed) external action("commit") {
        (bool found, TripId trip) = _pickTrip(seed, TripState.Loaded, TripState.Held);
        if (!found) return;
        TrackBatch memory f = batchOf(trip, deliveries.get(trip).batches);
        bytes memory s = sign(f.attestor, address(deliveries), hash(f));
        _play(address(deliveries), abi.encodeCall(deliveries.commitTrack, (f, s)));
    }

    function attestOne(uint256 seed) external action("attest") {
        (bool found, TripId trip) = _pickTrip(seed, TripState.Loaded, TripState.Held);
        if (found) _attest(trip, attestorPool[(seed >> 8) % 4], (seed >> 16) % 16);
    }

    function _attest(TripId trip, PartyId who, uint256 dice) internal {
        Attestation memory f = attestationOf(trip, who);
        if (dice < 3) f.verdict = uint8(Verdict.Review);
        if (dice == 3) f.verdict = uint8(Verdict.Fail);
        if (dice == 4) f.root = "another road";
        bytes memory s = sign(who, address(deliveries), hash(f));
        if (_play(address(deliveries), abi.encodeCall(deliveries.attest, (f, s)))) {
            said[trip][who] = Said(keccak256(abi.encode(f.root, f.verdict)), f.verdict);
        }
        _checkCompletion(trip);
    }

    function reviewOne(uint256 seed) external action("review") {
        (bool found, TripId trip) = _pickTrip(seed, TripState.Loaded, TripState.Held);
        if (!found) return;
        ReviewAcceptance memory f = ReviewAcceptance({
            trip: trip, root: ROOT_HASH, findings: FINDINGS, expires: soon(), salt: salt()
        });
        PartyId who = deliveries.watchOf(trip).reviewer;
        bytes memory s = sign(who, address(deliveries), hash(f));
        if (_play(address(deliveries), abi.encodeCall(deliveries.acceptReview, (f, s)))) {
            reviewAccepted[trip] = true;
        }
        _checkCompletion(trip);
    }

    function confirmOne(uint256 seed) external action("confirm") {
        (bool found, TripId trip) = _pickTrip(seed, TripState.Loaded, TripState.Held);
        if (found) _confirm(trip, seed, (seed >> 8) % 8);
    }

    function _confirm(TripId trip, uint256 seed, uint256 dice) internal {
        Confirmation memory f = confirmationOf(trip);
        if (dice == 0) f.accepted = uint64(_in(seed, 0, f.accepted));
        if (dice < 3) f.accepted = uint64(uint256(f.accepted) * _in(seed, 94, 100) / 100);
        if (dice == 7) f.by = CARRIER;
        bytes memory s = sign(f.by, address(deliveries), hash(f));
        if (_play(address(deliveries), abi.encodeCall(deliveries.confirm, (f, s)))) {
            receipt[trip] = true;
        }
        _checkCompletion(trip);
    }

    function disputeOne(uint256 seed) external action("dispute") {
        (bool found, TripId trip) = _pickTrip(seed, TripState.Loaded, TripState.Delivered);
        if (!found || seed % 4 != 0) return;
        Dispute memory f = disputeOf(trip, seed % 8 == 0 ? CONSIGNEE : DRIVER);
        bytes memory s = sign(f.by, address(deliveries), hash(f));
        _play(address(deliveries), abi.encodeCall(deliveries.dispute, (f, s)));
    }

    function resolveOne(uint256 seed) external action("resolve") {
        (bool found, TripId trip) = _pickTrip(seed, TripState.Held, TripState.Held);
        if (!found) (found, trip) = _pickTrip(seed, TripState.Delivered, TripState.Delivered);
        if (!found || !deliveries.get(trip).disputed) return;
        Resolution memory f = resolutionOf(trip, seed % 4 == 0 ? 2 : 1);
        bytes[] memory s = new bytes[](1);
        s[0] = sign(ARBITER, address(deliveries), hash(f));
        _play(address(deliveries), abi.encodeCall(deliveries.resolve, (f, s, true)));
        _checkCompletion(trip);
    }

    function expireTrip(uint256 seed) external action("expireTrip") {
        (bool found, TripId trip) = _pickTrip(seed, TripState.Open, TripState.Held);
        if (found) _play(address(deliveries), abi.encodeCall(deliveries.expire, (trip)));
    }

    // -- money ------------------------------------------------------------------------------------

    function gateOne(uint256 seed) external action("gate") {
        (bool found, AdvanceId id) = _pickLoan(seed, AdvanceState.Releasable);
        if (!found) return;
        Gate memory f = Gate(id, seed % 5 != 0, "law", soon(), salt());
        bytes memory s = sign(advances.get(id).lender, address(advances), hash(f));
        _play(address(advances), abi.encodeCall(advances.gate, (f, s)));
    }

    function retryOne(uint256 seed) external action("retry") {
        if (loans.length == 0) return;
        AdvanceId id = loans[seed % loans.length];
        _play(address(advances), abi.encodeCall(advances.retry, (id)));
    }

    function expireOne(uint256 seed) external action("expireAdvance") {
        if (loans.length == 0) return;
        AdvanceId id = loans[seed % loans.length];
        _play(address(advances), abi.encodeCall(advances.expire, (id)));
    }

    function payOne(uint256 seed) external action("pay") {
        if (bills.length == 0) return;
        WaybillId id = bills[seed % bills.length];
        (bool lent, AdvanceId loan) = _pickLoan(seed, AdvanceState.Released);
        if (lent && seed % 3 != 0) id = advances.get(loan).waybill;
        uint128 most = waybills.outstanding(id);
        uint128 amount = uint128(_in(seed >> 8, 1, uint256(most) + most / 4 + 1));
        MintReceipt memory f =
            MintReceipt(salt(), settlement.collectionAccount(id), amount, advances.today());
        bytes32 h = hash(f);
        bytes memory a = sign(CUSTODIAN1, address(token), h);
        bytes memory b = sign(CUSTODIAN2, address(token), h);
        _play(address(token), abi.encodeCall(token.mint, (f, a, b)));
        _play(address(settlement), abi.encodeCall(settlement.settle, (id)));
    }

    function repayOne(uint256 seed) external action("repay") {
        (bool found, AdvanceId id) = _pickLoan(seed, AdvanceState.Released);
        uint128 free = token.freeBalance(SUB);
        if (!found || free == 0) return;
        Repayment memory f = Repayment(id, uint128(_in(seed, 1, free)), soon(), salt());
        bytes memory s = sign(SUB, address(advances), hash(f));
        _play(address(advances), abi.encodeCall(advances.repay, (f, s)));
    }

    function actOne(uint256 seed) external action("act") {
        (bool found, AdvanceId id) = _pickLoan(seed, AdvanceState.Defaulted);
        uint8 what = 2;
        if (!found || seed % 3 == 0) {
            (found, id) = _pickLoan(seed, AdvanceState.Released);
            // Past grace he is in default; before it the lender may defer or waive.
            bool late = found && advances.today() > advances.get(id).dueDay + 3;
            what = late && seed % 4 != 0 ? 1 : [3, 5, 6][(seed >> 8) % 3];
        }
        if (!found || seed % 11 == 0) {
            (found, id) = _pickLoan(seed, AdvanceState.Requested);
            what = 4;
        }
        if (!found) return;
        uint128 value = what == 3 ? advances.today() + 1 : uint128(_in(seed, 1, 100));
        if (what == 6) value += advances.get(id).dueDay;
        LenderAct memory f = LenderAct(id, what, value, "d", soon(), salt());
        bytes memory s = sign(advances.get(id).lender, address(advances), hash(f));
        _play(address(advances), abi.encodeCall(advances.act, (f, s)));
    }

    function cascadeOne(uint256 seed) external action("cascade") {
        if (bills.length == 0) return;
        WaybillId child = bills[seed % bills.length];
        WaybillId up = waybills.get(child).parent;
        if (up == NO_WAYBILL) return;
        Cascade memory f = Cascade(up, child, uint128(_in(seed, 1, 1_000_00)), soon(), salt());
        bytes memory s = sign(waybills.get(up).performer, address(settlement), hash(f));
        _play(address(settlement), abi.encodeCall(settlement.signCascade, (f, s)));
    }

    function payoutOne(uint256 seed) external action("payout") {
        if (loans.length == 0) return;
        AdvanceId id = loans[seed % loans.length];
        bytes32 payout = keccak256(abi.encode(id, seed % advances.payeesOf(id).length));
        PayoutReceipt memory f = PayoutReceipt(payout, salt(), advances.today());
        bytes32 h = hash(f);
        bytes memory a = sign(CUSTODIAN1, address(token), h);
        bytes memory b = sign(CUSTODIAN2, address(token), h);
        _play(address(token), abi.encodeCall(token.confirmPayout, (f, a, b)));
    }

    function lineOne(uint256 seed) external action("line") {
        LineChange memory f = LineChange({
            line: lines[seed % 2],
            limit: uint128(_in(seed >> 8, 1_000_00, 40_000_00)),
            frozen: seed % 7 == 0,
            validUntil: START + 3650 days,
            expires: soon(),
            salt: salt()
        });
        (CreditLine memory terms,,,) = facility.get(f.line);
        bytes32 h = hash(f);
        bytes memory a = sign(terms.lender, address(facility), h);
        bytes memory b = sign(SUB, address(facility), h);
        _play(address(facility), abi.encodeCall(facility.changeLine, (f, a, b)));
    }

    function vaultOne(uint256 seed) external action("vault") {
        PartyId lender = seed % 2 == 0 ? LENDER : LENDER2;
        bool deposit = (seed >> 8) % 2 == 0;
        uint128 most = deposit ? token.freeBalance(lender) : facility.cash(lender) / 4;
        if (most == 0) return;
        VaultMove memory f = VaultMove(lender, deposit, uint128(_in(seed, 1, most)), soon(), salt());
        bytes memory s = sign(lender, address(facility), hash(f));
        _play(address(facility), abi.encodeCall(facility.moveVault, (f, s)));
    }

    // -- changes ----------------------------------------------------------------------------------

    function amendOne(uint256 seed) external action("amend") {
        if (bills.length == 0) return;
        WaybillId id = bills[seed % bills.length];
        WaybillRecord memory w = waybills.get(id);
        Amendment memory f;
        f.waybill = id;
        f.version = w.version + (seed % 8 == 5 ? 1 : 0);
        f.freight = uint128(
            _in(seed >> 8, uint256(w.freight) * 9 / 10 + 1, uint256(w.freight) * 11 / 10 + 1)
        );
        (f.quantity, f.loadFrom, f.deliverBy) = (w.quantity, w.loadFrom, w.deliverBy);
        if (w.trip != NO_TRIP) {
            (, f.vehicle, f.plan,) = waybills.tripTerms(w.trip);
        }
        (f.expires, f.salt) = (soon(), salt());
        bytes32 h = hash(f);
        bytes memory a = sign(w.issuer, address(waybills), h);
        bytes memory b = sign(w.performer, address(waybills), h);
        bytes memory c = sign(w.pledgee, address(waybills), h);
        _play(address(waybills), abi.encodeCall(waybills.amend, (f, a, b, c)));
    }

    function creditOne(uint256 seed) external action("credit") {
        if (bills.length == 0 || seed % 3 != 0) return;
        WaybillId id = bills[seed % bills.length];
        WaybillRecord memory w = waybills.get(id);
        CreditNote memory f = creditNote(id, uint128(_in(seed, 1, uint256(w.freight) / 20 + 1)));
        bytes32 h = hash(f);
        bytes memory a = sign(w.issuer, address(waybills), h);
        bytes memory b = sign(w.performer, address(waybills), h);
        bytes memory c = sign(w.pledgee, address(waybills), h);
        _play(address(waybills), abi.encodeCall(waybills.credit, (f, a, b, c)));
    }

    function cancelOne(uint256 seed) external action("cancel") {
        if (bills.length == 0 || seed % 4 != 0) return;
        WaybillId id = bills[seed % bills.length];
        WaybillRecord memory w = waybills.get(id);
        Cancellation memory f = Cancellation(id, w.version, soon(), salt());
        bytes32 h = hash(f);
        bytes memory a = sign(w.issuer, address(waybills), h);
        bytes memory b = sign(w.performer, address(waybills), h);
        _play(address(waybills), abi.encodeCall(waybills.cancel, (f, a, b)));
    }

    function attestorOne(uint256 seed) external action("attestor") {
        if (seed % 6 != 0) return;
        PartyId who = attestorPool[(seed >> 8) % 4];
        bool is_ = deliveries.isAttestor(who);
        vm.prank(admin);
        if (is_) deliveries.removeAttestor(who);
        else deliveries.addAttestor(who);
        since[who] = is_ ? 0 : block.timestamp;
    }

    mapping(PartyId => uint256) internal since;

    function pauseOne(uint256 seed) external action("pause") {
        if (seed % 5 != 0 && !paused) return;
        _pauseOrNot();
    }

    function _pauseOrNot() internal {
        vm.prank(admin);
        if (paused) advances.unpause();
        else advances.pause();
        paused = !paused;
    }

    /// @dev Days pass; the ceiling runs on what is owed.
    function wait(uint256 seed) external action("wait") {
        // Long waits end approvals; where a loan is out they bring it into arrears, which is worth seeing more often.
        (bool lent,) = _pickLoan(seed, AdvanceState.Released);
        bool long = seed % 6 == 0 || (lent && seed % 2 == 0);
        uint256 time = _in(seed, 1 hours, long ? 45 days : 1 days);
        uint32 before = advances.today();
        uint256 daysPassed = (block.timestamp + time + 8 hours) / 1 days - before;
        for (uint256 i = 0; i < loans.length; i++) {
            ceilingNum[loans[i]] += uint256(advances.get(loans[i]).outstanding) * 240_000
            * daysPassed;
        }
        vm.warp(block.timestamp + time);
    }

    // -- attacks ----------------------------------------------------------------------------------

    /// @dev Plays again what was accepted: it must be refused or change nothing at all.
    function replay(uint256 seed) external action("replay") {
        if (spent.length == 0) return;
        uint256 i = seed % spent.length;
        bool moved = _play(spentAt[i], spent[i]) && _logs != 0;
        if (moved && !_mayMoveAgain(spent[i])) {
            wrong["B"] = "a form used before moved something again";
        }
    }

    /// @dev These need no signature of their own: anyone may call them whenever they apply.
    function _mayMoveAgain(bytes memory data) internal view returns (bool) {
        bytes4 f = bytes4(data);
        return f == advances.retry.selector || f == advances.expire.selector
            || f == deliveries.expire.selector || f == settlement.settle.selector;
    }

    /// @dev Signs with another's key. Whatever changes, changes with an event.
    function forge(uint256 seed) external action("forge") {
        uint256 dice = seed % 6;
        bool done = false;
        if (dice == 0 && trips.length != 0) {
            Confirmation memory f = confirmationOf(trips[seed % trips.length]);
            bytes memory s = sign(STRANGER, address(deliveries), hash(f));
            done = _play(address(deliveries), abi.encodeCall(deliveries.confirm, (f, s)));
        } else if (dice == 1 && trips.length != 0) {
            Attestation memory f = attestationOf(trips[seed % trips.length], ATTESTOR2);
            bytes memory s = sign(ATTESTOR1, address(deliveries), hash(f));
            done = _play(address(deliveries), abi.encodeCall(deliveries.attest, (f, s)));
        } else if (dice == 2 && loans.length != 0) {
            Approval memory f = approvalOf(loans[seed % loans.length]);
            bytes memory s = sign(SUB, address(advances), hash(f));
            done = _play(address(advances), abi.encodeCall(advances.approve, (f, s)));
        } else if (dice == 3) {
            VaultMove memory f = VaultMove(LENDER, false, 1, soon(), salt());
            bytes memory s = sign(SUB, address(facility), hash(f));
            done = _play(address(facility), abi.encodeCall(facility.moveVault, (f, s)));
        } else if (dice == 4 && loans.length != 0) {
            Gate memory f = Gate(loans[seed % loans.length], true, 0, soon(), salt());
            bytes memory s = sign(DRIVER, address(advances), hash(f));
            done = _play(address(advances), abi.encodeCall(advances.gate, (f, s)));
        } else if (loans.length != 0) {
            AdvanceId id = loans[seed % loans.length];
            done = _play(address(advances), abi.encodeCall(advances.payPayee, (id, 0)))
                || _play(address(facility), abi.encodeCall(facility.draw, (id, 1, SUB, "a", "b")));
        }
        if (done && _logs != 0) wrong["B"] = "a forged signature moved something";
    }

    // -- the door ---------------------------------------------------------------------------------

    function _play(address to, bytes memory data) internal returns (bool done) {
        uint256 subBefore = balanceOf(SUB);
        vm.recordLogs();
        bytes memory why;
        (done, why) = to.call(data);
        if (!done) {
            if (refusals[bytes4(why)]++ == 0) _refused.push(bytes4(why));
            return false;
        }
        if (accepted[_action]++ == 0) _actions.push(_action);
        if (spent.length < 64) {
            spent.push();
            spentAt.push();
        }
        (spent[_spent % 64], spentAt[_spent % 64]) = (data, to);
        _spent++;
        Vm.Log[] memory logs = vm.getRecordedLogs();
        _logs = logs.length;
        bool released = false;
        for (uint256 i = 0; i < logs.length; i++) {
            released = _read(logs[i]) || released;
        }
        if (released && balanceOf(SUB) != subBefore) {
            wrong["D"] = "a release moved the borrower's balance";
        }
    }

    /// @return true if the log says that a payee was paid.
    function _read(Vm.Log memory log) internal returns (bool) {
        bytes32 what = log.topics[0];
        if (log.topics.length > 1) _follow(what, log.topics[1], log.data);
        if (what == IFreightAdvance.PayeePaid.selector) {
            AdvanceId id = AdvanceId.wrap(log.topics[1]);
            PartyId payee = PartyId.wrap(uint64(uint256(log.topics[2])));
            (, uint128 amount, bytes32 payout) = abi.decode(log.data, (bytes32, uint128, bytes32));
            paid[id] += amount;
            payments[id][payee]++;
            if (deliveries.stateOf(advances.get(id).trip) != TripState.Delivered) {
                wrong["C"] = "paid before delivery";
            }
            bool frozen = false;
            Payee[] memory payees = advances.payeesOf(id);
            for (uint256 i = 0; i < payees.length; i++) {
                if (
                    payees[i].party == payee && token.payoutOf(payout).account == payees[i].account
                        && amount <= payees[i].amount
                ) frozen = true;
            }
            if (!frozen) wrong["D"] = "paid to whom the approval did not name";
            return true;
        }
        if (what == IDeliveryRegistry.DeliveryCompleted.selector) {
            completions[TripId.wrap(log.topics[1])]++;
        } else if (what == IDeliveryRegistry.ListenerFailed.selector) {
            wrong["L"] = "the listener failed";
        } else if (what == IFreightAdvance.PayeeFailed.selector) {
            wrong["L"] = "a payee failed";
        } else if (what == IFreightAdvance.AdvanceReleased.selector) {
            releases[AdvanceId.wrap(log.topics[1])]++;
        } else if (what == IFreightAdvance.AdvanceVoided.selector) {
            bytes32 f = advances.get(AdvanceId.wrap(log.topics[1])).fingerprint;
            pledgedBy[f] = NO_ADVANCE;
        } else if (what == IFreightAdvance.AdvanceRepaid.selector) {
            AdvanceId id = AdvanceId.wrap(log.topics[1]);
            (uint128 fee, uint128 penalty, uint128 interest, uint128 principal,,) =
                abi.decode(log.data, (uint128, uint128, uint128, uint128, uint128, uint128));
            chargesPaid[id] += uint256(fee) + penalty + interest;
            principalPaid[id] += principal;
        } else if (
            what == IFreightAdvance.AdvanceRequested.selector
                || what == IFreightAdvance.AdvanceApproved.selector
        ) {
            if (paused) wrong["K"] = "asked or approved while paused";
        } else if (what == IFreightSettlement.FreightSettled.selector) {
            (uint128 got, uint128 a, uint128 b, uint128 c, uint128 d) =
                abi.decode(log.data, (uint128, uint128, uint128, uint128, uint128));
            if (got != uint256(a) + b + c + d) wrong["G"] = "a settlement lost or made a fen";
        } else if (what == ISettlementToken.Minted.selector) {
            (uint128 amount,) = abi.decode(log.data, (uint128, uint64));
            minted += amount;
        } else if (what == ISettlementToken.PayoutPaid.selector) {
            burned += token.payoutOf(log.topics[1]).amount;
        }
        return false;
    }

    // -- the model of promise C -------------------------------------------------------------------

    /// @dev Completes if and only if receipt and k agreeing present attestors, the lender's among them, not held.
    function _checkCompletion(TripId trip) internal {
        TripState state = deliveries.stateOf(trip);
        bool ready = receipt[trip] && _agreed(trip);
        if (state == TripState.Loaded && ready) wrong["C"] = "ready and not completed";
        if (state == TripState.Delivered && completions[trip] != 1) {
            wrong["C"] = "not completed exactly once";
        }
        if (state == TripState.Delivered && !counted[trip]) {
            counted[trip] = true;
            if (!ready) wrong["C"] = "completed without receipt or agreement";
        }
    }

    mapping(TripId => bool) internal counted;

    function _agreed(TripId trip) internal view returns (bool) {
        PartyId required = deliveries.watchOf(trip).attestor;
        for (uint256 i = 0; i < 4; i++) {
            if (!_counts(trip, attestorPool[i])) continue;
            uint256 votes = 0;
            bool has = required == NOBODY;
            for (uint256 j = 0; j < 4; j++) {
                PartyId who = attestorPool[j];
                if (!_counts(trip, who)) continue;
                if (said[trip][who].outcome != said[trip][attestorPool[i]].outcome) continue;
                votes++;
                if (who == required) has = true;
                if (_accepted(trip, who)) has = true;
            }
            if (votes >= THRESHOLD && has) return true;
        }
        return false;
    }

    /// @dev The lender accepts the usual road only.
    function _accepted(TripId trip, PartyId who) internal view returns (bool) {
        bytes32 usual = keccak256(abi.encode(ROOT_HASH, said[trip][who].verdict));
        return reviewAccepted[trip] && said[trip][who].outcome == usual;
    }

    function _counts(TripId trip, PartyId who) internal view returns (bool) {
        Said memory s = said[trip][who];
        if (!deliveries.isAttestor(who)) return false;
        if (since[who] > waybills.get(waybills.leafOf(trip)).issuedAt) return false;
        return s.verdict == uint8(Verdict.Pass)
            || (s.verdict == uint8(Verdict.Review) && _accepted(trip, who));
    }

    // -- the tables of promise J ------------------------------------------------------------------

    /// @dev States as an indexer would rebuild them, from events alone.
    function _follow(bytes32 what, bytes32 id, bytes memory data) internal {
        if (what == IWaybillRegistry.WaybillMoved.selector) {
            (, WaybillState to) = abi.decode(data, (WaybillState, WaybillState));
            _moveBill(WaybillId.wrap(id), to);
        } else if (what == IWaybillRegistry.WaybillIssued.selector) {
            _moveBill(WaybillId.wrap(id), WaybillState.Issued);
        } else if (what == IDeliveryRegistry.TripLoaded.selector) {
            _moveTrip(TripId.wrap(id), TripState.Loaded);
        } else if (what == IDeliveryRegistry.DeliveryDisputed.selector) {
            (, bool late) = abi.decode(data, (bytes32, bool));
            if (!late) _moveTrip(TripId.wrap(id), TripState.Held);
        } else if (what == IDeliveryRegistry.DisputeResolved.selector) {
            (uint8 outcome,) = abi.decode(data, (uint8, bytes32));
            bool held = tripByEvents[TripId.wrap(id)] == TripState.Held;
            if (outcome == 1 && held) _moveTrip(TripId.wrap(id), TripState.Loaded);
        } else if (what == IDeliveryRegistry.DeliveryCompleted.selector) {
            _moveTrip(TripId.wrap(id), TripState.Delivered);
        } else if (what == IDeliveryRegistry.TripVoided.selector) {
            _moveTrip(TripId.wrap(id), TripState.Void);
        } else {
            AdvanceState to = _stateAfter(what);
            if (to != AdvanceState.None) _moveAdvance(AdvanceId.wrap(id), to);
        }
    }

    function _stateAfter(bytes32 what) internal pure returns (AdvanceState) {
        if (what == IFreightAdvance.AdvanceRequested.selector) return AdvanceState.Requested;
        if (what == IFreightAdvance.AdvanceApproved.selector) return AdvanceState.Approved;
        if (what == IFreightAdvance.AdvanceReleasable.selector) return AdvanceState.Releasable;
        if (what == IFreightAdvance.AdvanceReleased.selector) return AdvanceState.Released;
        if (what == IFreightAdvance.AdvanceVoided.selector) return AdvanceState.Voided;
        if (what == IFreightAdvance.AdvanceDeclined.selector) return AdvanceState.Declined;
        if (what == IFreightAdvance.AdvanceClosed.selector) return AdvanceState.Repaid;
        if (what == IFreightAdvance.AdvanceDefaulted.selector) return AdvanceState.Defaulted;
        if (what == IFreightAdvance.AdvanceWrittenOff.selector) return AdvanceState.WrittenOff;
        return AdvanceState.None;
    }

    function _moveAdvance(AdvanceId id, AdvanceState to) internal {
        if (!advanceMoves(advanceByEvents[id], to)) wrong["J"] = "an advance left its table";
        advanceByEvents[id] = to;
        advancesReached[uint8(to)]++;
    }

    function _moveTrip(TripId id, TripState to) internal {
        if (!tripMoves(tripByEvents[id], to)) wrong["J"] = "a trip left its table";
        tripByEvents[id] = to;
        tripsReached[uint8(to)]++;
    }

    function _moveBill(WaybillId id, WaybillState to) internal {
        if (!billMoves(billByEvents[id], to)) wrong["J"] = "a waybill left its table";
        billByEvents[id] = to;
        billsReached[uint8(to)]++;
        TripId trip = waybills.get(id).trip;
        if (trip == NO_TRIP) return;
        // A leaf that is issued opens its trip; one that its parties cancel before loading voids it.
        if (to == WaybillState.Issued) _moveTrip(trip, TripState.Open);
        bool open = tripByEvents[trip] == TripState.Open;
        if (to == WaybillState.Cancelled && open && deliveries.get(trip).state == TripState.Void) {
            _voidedByLeaf[trip] = true;
        }
    }

    mapping(TripId => bool) internal _voidedByLeaf;

    /// @return what an indexer believes of a trip.
    function tripFollowed(TripId trip) external view returns (TripState) {
        TripState state = tripByEvents[trip];
        return state == TripState.Open && _voidedByLeaf[trip] ? TripState.Void : state;
    }

    function advanceMoves(AdvanceState from, AdvanceState to) public pure returns (bool) {
        AdvanceState n = AdvanceState.None;
        if (from == n) return to == AdvanceState.Requested;
        if (from == AdvanceState.Requested) {
            return to == AdvanceState.Approved || to == AdvanceState.Declined;
        }
        if (from == AdvanceState.Approved) {
            return to == AdvanceState.Releasable || to == AdvanceState.Released
                || to == AdvanceState.Voided;
        }
        if (from == AdvanceState.Releasable) {
            return to == AdvanceState.Released || to == AdvanceState.Voided;
        }
        if (from == AdvanceState.Released) {
            return to == AdvanceState.Repaid || to == AdvanceState.Defaulted;
        }
        if (from == AdvanceState.Defaulted) {
            return to == AdvanceState.Repaid || to == AdvanceState.WrittenOff;
        }
        if (from == AdvanceState.WrittenOff) return to == AdvanceState.Repaid;
        return false;
    }

    function tripMoves(TripState from, TripState to) public pure returns (bool) {
        if (from == TripState.None) return to == TripState.Open;
        if (from == TripState.Open) return to == TripState.Loaded || to == TripState.Void;
        if (from == TripState.Loaded) {
            return to == TripState.Held || to == TripState.Delivered || to == TripState.Void;
        }
        if (from == TripState.Held) {
            return to == TripState.Loaded || to == TripState.Void;
        }
        return false;
    }

    function billMoves(WaybillState from, WaybillState to) public pure returns (bool) {
        if (from == WaybillState.None) return to == WaybillState.Issued;
        if (from == WaybillState.Issued) {
            return to == WaybillState.InTransit || to == WaybillState.Cancelled;
        }
        if (from == WaybillState.InTransit) {
            return to == WaybillState.Delivered || to == WaybillState.Cancelled;
        }
        if (from == WaybillState.Delivered) return to == WaybillState.Paid;
        return false;
    }

    function _in(uint256 seed, uint256 least, uint256 most) internal pure returns (uint256) {
        return least + seed % (most - least + 1);
    }

    // -- picking ----------------------------------------------------------------------------------

    function _pickTrip(uint256 seed, TripState a, TripState b)
        internal
        view
        returns (bool, TripId)
    {
        for (uint256 i = 0; i < trips.length; i++) {
            TripId trip = trips[(seed % trips.length + i) % trips.length];
            TripState state = deliveries.stateOf(trip);
            if (state >= a && state <= b) return (true, trip);
        }
        return (false, NO_TRIP);
    }

    function _pickLoan(uint256 seed, AdvanceState wanted) internal view returns (bool, AdvanceId) {
        for (uint256 i = 0; i < loans.length; i++) {
            AdvanceId id = loans[(seed % loans.length + i) % loans.length];
            if (advances.get(id).state == wanted) return (true, id);
        }
        return (false, NO_ADVANCE);
    }

    function all() external view returns (TripId[] memory, WaybillId[] memory, AdvanceId[] memory) {
        return (trips, bills, loans);
    }

    /// @return told `what,how often`: states reached, actions accepted, refusals met.
    function reached() external view returns (string memory told) {
        for (uint8 i = 1; i < 10; i++) {
            told = _count(told, "advance ", vm.toString(i), advancesReached[i]);
        }
        for (uint8 i = 1; i < 6; i++) {
            told = _count(told, "trip ", vm.toString(i), tripsReached[i]);
            told = _count(told, "waybill ", vm.toString(i), billsReached[i]);
        }
        for (uint256 i = 0; i < _actions.length; i++) {
            string memory name = string(bytes.concat(_actions[i]));
            told = _count(told, "accepted ", name, accepted[_actions[i]]);
        }
        for (uint256 i = 0; i < _refused.length; i++) {
            string memory name = vm.toString(abi.encodePacked(_refused[i]));
            told = _count(told, "refused ", name, refusals[_refused[i]]);
        }
    }

    function _count(string memory told, string memory kind, string memory name, uint256 times)
        private
        pure
        returns (string memory)
    {
        if (times == 0) return told;
        return string.concat(told, kind, name, ",", vm.toString(times), "\n");
    }

    function registry() external view returns (PartyRegistry) {
        return parties;
    }

    function contracts()
        external
        view
        returns (
            WaybillRegistry,
            DeliveryRegistry,
            SettlementToken,
            CreditFacility,
            FreightAdvance,
            FreightSettlement
        )
    {
        return (waybills, deliveries, token, facility, advances, settlement);
    }
}
