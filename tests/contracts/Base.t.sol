// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Test} from "forge-std/Test.sol";

import {CreditFacility} from "contracts/CreditFacility.sol";
import {DeliveryRegistry} from "contracts/DeliveryRegistry.sol";
import {FreightAdvance} from "contracts/FreightAdvance.sol";
import {FreightSettlement} from "contracts/FreightSettlement.sol";
import {PartyRegistry} from "contracts/PartyRegistry.sol";
import {SettlementToken} from "contracts/SettlementToken.sol";
import {WaybillRegistry} from "contracts/WaybillRegistry.sol";
import {AdvanceHash} from "contracts/libraries/AdvanceHash.sol";
import {CreditHash} from "contracts/libraries/CreditHash.sol";
import {DeliveryHash} from "contracts/libraries/DeliveryHash.sol";
import {MoneyHash} from "contracts/libraries/MoneyHash.sol";
import {PartyHash} from "contracts/libraries/PartyHash.sol";
import {WaybillHash} from "contracts/libraries/WaybillHash.sol";
import "contracts/types/AdvanceForms.sol";
import "contracts/types/CreditForms.sol";
import "contracts/types/DeliveryForms.sol";
import "contracts/types/Ids.sol";
import "contracts/types/MoneyForms.sol";
import "contracts/types/PartyForms.sol";
import "contracts/types/States.sol";
import "contracts/types/WaybillForms.sol";

/// @dev Struct hashes of forms held in memory (the libraries take calldata).
abstract contract FormHashes {
    function hash(PartyRegistration memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(PartyHash.PARTY_REGISTRATION, f));
    }

    function hash(KeyRotation memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(PartyHash.KEY_ROTATION, f));
    }

    function hash(KeyRecovery memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(PartyHash.KEY_RECOVERY, f));
    }

    function hash(KeyRevocation memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(PartyHash.KEY_REVOCATION, f));
    }

    function hash(RecoveryCancellation memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(PartyHash.RECOVERY_CANCELLATION, f));
    }

    function hash(Waybill memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(WaybillHash.WAYBILL, f));
    }

    function hash(Amendment memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(WaybillHash.AMENDMENT, f));
    }

    function hash(Cancellation memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(WaybillHash.CANCELLATION, f));
    }

    function hash(CreditNote memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(WaybillHash.CREDIT_NOTE, f));
    }

    function hash(Loading memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(DeliveryHash.LOADING, f));
    }

    function hash(TrackBatch memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(DeliveryHash.TRACK_BATCH, f));
    }

    function hash(Confirmation memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(DeliveryHash.CONFIRMATION, f));
    }

    function hash(Attestation memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(DeliveryHash.ATTESTATION, f));
    }

    function hash(ReviewAcceptance memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(DeliveryHash.REVIEW_ACCEPTANCE, f));
    }

    function hash(Dispute memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(DeliveryHash.DISPUTE, f));
    }

    function hash(Resolution memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(DeliveryHash.RESOLUTION, f));
    }

    function hash(CreditLine memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(CreditHash.CREDIT_LINE, f));
    }

    function hash(LineChange memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(CreditHash.LINE_CHANGE, f));
    }

    function hash(VaultMove memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(CreditHash.VAULT_MOVE, f));
    }

    function hash(MintReceipt memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(MoneyHash.MINT_RECEIPT, f));
    }

    function hash(PayoutReceipt memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(MoneyHash.PAYOUT_RECEIPT, f));
    }

    function hash(PayoutRequest memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(MoneyHash.PAYOUT_REQUEST, f));
    }

    function hash(PayoutRedirect memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(MoneyHash.PAYOUT_REDIRECT, f));
    }

    function hash(Cascade memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(MoneyHash.CASCADE, f));
    }

    function hash(AdvanceRequest memory f) internal pure returns (bytes32) {
        bytes32[] memory payees = new bytes32[](f.payees.length);
        for (uint256 i = 0; i < payees.length; i++) {
            payees[i] = keccak256(abi.encode(AdvanceHash.PAYEE, f.payees[i]));
        }
        bytes32 all = keccak256(abi.encodePacked(payees));
        return keccak256(
            bytes.concat(
                abi.encode(AdvanceHash.ADVANCE_REQUEST, f.line, f.waybill, f.trip, f.principal),
                abi.encode(all, f.fingerprint, f.decision, f.expires, f.salt)
            )
        );
    }

    function hash(Acknowledgement memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(AdvanceHash.ACKNOWLEDGEMENT, f));
    }

    function hash(PayeeConsent memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(AdvanceHash.PAYEE_CONSENT, f));
    }

    function hash(Approval memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(AdvanceHash.APPROVAL, f));
    }

    function hash(ApprovalRule memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(CreditHash.APPROVAL_RULE, f));
    }

    function hash(Gate memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(AdvanceHash.GATE, f));
    }

    function hash(Repayment memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(AdvanceHash.REPAYMENT, f));
    }

    function hash(LenderAct memory f) internal pure returns (bytes32) {
        return keccak256(abi.encode(AdvanceHash.LENDER_ACT, f));
    }
}

/// @title The seven contracts, wired, with named actors and one form builder for each verb
/// @dev `deploy()` is the wiring that the Python deployer copies: eight creations in a row, later addresses predicted.
/// Builders return a form that works; a test changes one field and says what must happen.
abstract contract Base is FormHashes, Test {
    // -- actors -----------------------------------------------------------------------------------

    PartyId internal constant CONSIGNOR = PartyId.wrap(11);
    PartyId internal constant CARRIER = PartyId.wrap(12);
    PartyId internal constant SUB = PartyId.wrap(13);
    PartyId internal constant DRIVER = PartyId.wrap(14);
    PartyId internal constant CONSIGNEE = PartyId.wrap(15);
    PartyId internal constant LENDER = PartyId.wrap(16);
    PartyId internal constant LENDER2 = PartyId.wrap(17);
    PartyId internal constant ATTESTOR1 = PartyId.wrap(21);
    PartyId internal constant ATTESTOR2 = PartyId.wrap(22);
    PartyId internal constant ATTESTOR3 = PartyId.wrap(23);
    PartyId internal constant CUSTODIAN1 = PartyId.wrap(31);
    PartyId internal constant CUSTODIAN2 = PartyId.wrap(32);
    PartyId internal constant ARBITER = PartyId.wrap(33);
    PartyId internal constant STRANGER = PartyId.wrap(99);

    address internal admin = makeAddr("admin");
    address internal registrar;
    uint256 internal registrarKey;
    /// @dev Who submits: no authority.
    address internal relayer = makeAddr("relayer");

    // -- contracts --------------------------------------------------------------------------------

    AccessManager internal manager;
    PartyRegistry internal parties;
    WaybillRegistry internal waybills;
    DeliveryRegistry internal deliveries;
    SettlementToken internal token;
    CreditFacility internal facility;
    FreightAdvance internal advances;
    FreightSettlement internal settlement;

    // -- one standard case ------------------------------------------------------------------------

    uint64 internal constant START = 1_769_442_600; // 2026-01-26T15:50Z, 23:50 in Beijing
    uint256 internal constant THRESHOLD = 2;
    uint128 internal constant DAILY_CAP = 1_000_000_000_00;
    uint128 internal constant ROOT_FREIGHT = 10_000_00;
    uint128 internal constant MID_FREIGHT = 9_000_00;
    uint128 internal constant LEAF_FREIGHT = 8_000_00;
    uint64 internal constant QUANTITY = 30_000_000; // 30 t in grams: thousandths of a kilogram
    bytes32 internal constant NOTE = keccak256("shipping note");
    bytes32 internal constant VEHICLE = keccak256("vehicle");
    bytes32 internal constant PLAN = keccak256("plan");
    bytes32 internal constant POLICY = keccak256("policy");
    bytes32 internal constant ROOT_HASH = keccak256("trajectory root");
    bytes32 internal constant FINDINGS = keccak256("findings");
    bytes32 internal constant DRIVER_ACCOUNT = keccak256("driver's bank account");
    TripId internal constant TRIP = TripId.wrap(keccak256("trip"));

    WaybillId internal root;
    WaybillId internal mid;
    WaybillId internal leaf;
    LineId internal line;
    uint256 private _salt;

    function setUp() public virtual {
        vm.warp(START);
        deploy();
        enrolAll();
    }

    /// @dev Order and arguments as in contracts/README.md.
    function deploy() internal {
        (registrar, registrarKey) = makeAddrAndKey("registrar");
        address me = address(this);
        uint256 n = vm.getNonce(me);
        address deliveriesAt = vm.computeCreateAddress(me, n + 3);
        address facilityAt = vm.computeCreateAddress(me, n + 5);
        address advanceAt = vm.computeCreateAddress(me, n + 6);
        address settlementAt = vm.computeCreateAddress(me, n + 7);

        address auth = deployCode("AccessManager.sol:AccessManager", abi.encode(admin));
        manager = AccessManager(auth);
        parties = PartyRegistry(deployCode("PartyRegistry.sol", abi.encode(auth, registrar)));
        waybills = WaybillRegistry(
            deployCode(
                "WaybillRegistry.sol", abi.encode(parties, deliveriesAt, advanceAt, settlementAt)
            )
        );
        deliveries = DeliveryRegistry(
            deployCode(
                "DeliveryRegistry.sol", abi.encode(auth, parties, waybills, advanceAt, THRESHOLD)
            )
        );
        token = SettlementToken(
            deployCode(
                "SettlementToken.sol",
                abi.encode(auth, parties, facilityAt, settlementAt, DAILY_CAP)
            )
        );
        facility =
            CreditFacility(deployCode("CreditFacility.sol", abi.encode(parties, token, advanceAt)));
        advances = FreightAdvance(
            deployCode(
                "FreightAdvance.sol",
                abi.encode(auth, parties, waybills, deliveries, facility, settlementAt)
            )
        );
        settlement = FreightSettlement(
            deployCode("FreightSettlement.sol", abi.encode(parties, waybills, advances, token))
        );
        assertEq(address(settlement), settlementAt, "wiring");
    }

    function enrolAll() internal {
        PartyId[13] memory all = [
            CONSIGNOR,
            CARRIER,
            SUB,
            DRIVER,
            CONSIGNEE,
            LENDER,
            LENDER2,
            ATTESTOR1,
            ATTESTOR2,
            ATTESTOR3,
            CUSTODIAN1,
            CUSTODIAN2,
            ARBITER
        ];
        for (uint256 i = 0; i < all.length; i++) {
            enrol(all[i]);
        }
        vm.startPrank(admin);
        deliveries.addAttestor(ATTESTOR1);
        deliveries.addAttestor(ATTESTOR2);
        deliveries.addAttestor(ATTESTOR3);
        deliveries.setArbiter(ARBITER);
        token.setCustodian(CUSTODIAN1, CUSTODIAN2);
        vm.stopPrank();
    }

    // -- the relayer ------------------------------------------------------------------------------

    /// @dev What the next submission must be refused with; 0 if it must be accepted.
    bytes private _refusal;

    /// @dev The next submission must revert with this error and exactly these facts.
    function refused(bytes memory encodedError) internal {
        _refusal = encodedError;
    }

    /// @dev The next submission must revert with this error, whatever its facts.
    function refused(bytes4 selector) internal {
        _refusal = abi.encodePacked(selector);
    }

    /// @dev Every form goes through here: sent by who has no authority, accepted or refused as the test said.
    function submit(address to, bytes memory data) internal returns (bytes memory result) {
        bytes memory wanted = _refusal;
        delete _refusal;
        bool accepted;
        vm.prank(relayer);
        (accepted, result) = to.call(data);
        if (wanted.length == 0) {
            if (!accepted) {
                assembly ("memory-safe") {
                    revert(add(result, 32), mload(result))
                }
            }
            return result;
        }
        assertFalse(accepted, "was accepted");
        if (wanted.length == 4) {
            assertEq(bytes32(bytes4(result)), bytes32(bytes4(wanted)), "refused for another reason");
        } else {
            assertEq(result, wanted, "refused with other facts");
        }
    }

    // -- keys and signatures ----------------------------------------------------------------------

    function keyOf(PartyId party) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("key", party)));
    }

    function addressOf(PartyId party) internal pure returns (address) {
        return vm.addr(keyOf(party));
    }

    function salt() internal returns (bytes32) {
        return bytes32(++_salt);
    }

    function soon() internal view virtual returns (uint64) {
        return uint64(block.timestamp + 1 days);
    }

    /// @dev The domain as a wallet would compute it, not as the contract says.
    function digestOf(address at, bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("Yundan"),
                keccak256("1"),
                block.chainid,
                at
            )
        );
        return MessageHashUtils.toTypedDataHash(domain, structHash);
    }

    function signWith(uint256 key, address at, bytes32 structHash)
        internal
        view
        returns (bytes memory)
    {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digestOf(at, structHash));
        return abi.encodePacked(r, s, v);
    }

    function sign(PartyId party, address at, bytes32 structHash)
        internal
        view
        returns (bytes memory)
    {
        return signWith(keyOf(party), at, structHash);
    }

    // -- parties ----------------------------------------------------------------------------------

    function enrol(PartyId party) internal {
        PartyRegistration memory f = PartyRegistration({
            party: party,
            key: addressOf(party),
            profile: keccak256(abi.encode("profile", party)),
            expires: soon(),
            salt: salt()
        });
        bytes32 h = hash(f);
        submit(
            address(parties),
            abi.encodeCall(
                parties.register,
                (f, sign(party, address(parties), h), signWith(registrarKey, address(parties), h))
            )
        );
    }

    // -- waybills ---------------------------------------------------------------------------------

    function rootForm() internal returns (Waybill memory f) {
        f.issuer = CONSIGNOR;
        f.performer = CARRIER;
        f.consignee = CONSIGNEE;
        f.shippingNote = NOTE;
        f.freight = ROOT_FREIGHT;
        f.quantity = QUANTITY;
        f.loadFrom = START;
        f.deliverBy = START + 3 days;
        f.termDays = 60;
        f.document = keccak256("contract text");
        f.expires = soon();
        f.salt = salt();
    }

    function midForm(WaybillId parent) internal returns (Waybill memory f) {
        f = rootForm();
        f.parent = parent;
        f.issuer = CARRIER;
        f.performer = SUB;
        f.freight = MID_FREIGHT;
        f.termDays = 45;
    }

    function leafForm(WaybillId parent) internal returns (Waybill memory f) {
        f = rootForm();
        f.parent = parent;
        f.issuer = SUB;
        f.performer = DRIVER;
        f.freight = LEAF_FREIGHT;
        f.termDays = 15;
        f.trip = TRIP;
        f.vehicle = VEHICLE;
        f.plan = PLAN;
        f.policy = POLICY;
    }

    function issue(Waybill memory f) internal returns (WaybillId) {
        bytes32 h = hash(f);
        bytes memory a = sign(f.issuer, address(waybills), h);
        bytes memory b = sign(f.performer, address(waybills), h);
        submit(address(waybills), abi.encodeCall(waybills.issue, (f, a, b)));
        return WaybillId.wrap(h);
    }

    /// @dev consignor -> carrier -> subcontractor -> driver.
    function issueChain() internal {
        root = issue(rootForm());
        mid = issue(midForm(root));
        leaf = issue(leafForm(mid));
    }

    function amendmentOf(WaybillId waybill) internal returns (Amendment memory f) {
        (uint32 version, bytes32 vehicle, bytes32 plan,) = waybills.tripTerms(TRIP);
        f.waybill = waybill;
        f.version = waybills.get(waybill).version;
        f.freight = waybills.get(waybill).freight;
        f.quantity = waybills.get(waybill).quantity;
        f.loadFrom = waybills.get(waybill).loadFrom;
        f.deliverBy = waybills.get(waybill).deliverBy;
        if (TripId.unwrap(waybills.get(waybill).trip) != 0) {
            (f.vehicle, f.plan, f.version) = (vehicle, plan, version);
        }
        f.document = keccak256("amended text");
        f.expires = soon();
        f.salt = salt();
    }

    function amend(Amendment memory f) internal {
        bytes32 h = hash(f);
        PartyId issuer = waybills.get(f.waybill).issuer;
        PartyId performer = waybills.get(f.waybill).performer;
        PartyId pledgee = waybills.get(f.waybill).pledgee;
        bytes memory a = sign(issuer, address(waybills), h);
        bytes memory b = sign(performer, address(waybills), h);
        bytes memory c = pledgee == NOBODY ? bytes("") : sign(pledgee, address(waybills), h);
        submit(address(waybills), abi.encodeCall(waybills.amend, (f, a, b, c)));
    }

    function cancel(WaybillId waybill) internal {
        Cancellation memory f = Cancellation({
            waybill: waybill, version: waybills.get(waybill).version, expires: soon(), salt: salt()
        });
        bytes32 h = hash(f);
        bytes memory a = sign(waybills.get(waybill).issuer, address(waybills), h);
        bytes memory b = sign(waybills.get(waybill).performer, address(waybills), h);
        submit(address(waybills), abi.encodeCall(waybills.cancel, (f, a, b)));
    }

    function creditNote(WaybillId waybill, uint128 amount) internal returns (CreditNote memory) {
        return CreditNote({
            waybill: waybill,
            amount: amount,
            document: keccak256("credit note"),
            expires: soon(),
            salt: salt()
        });
    }

    function credit(CreditNote memory f) internal {
        bytes32 h = hash(f);
        bytes memory a = sign(waybills.get(f.waybill).issuer, address(waybills), h);
        bytes memory b = sign(waybills.get(f.waybill).performer, address(waybills), h);
        PartyId pledgee = waybills.get(f.waybill).pledgee;
        bytes memory c = pledgee == NOBODY ? bytes("") : sign(pledgee, address(waybills), h);
        submit(address(waybills), abi.encodeCall(waybills.credit, (f, a, b, c)));
    }

    // -- delivery ---------------------------------------------------------------------------------

    function loadingOf(TripId trip) internal returns (Loading memory f) {
        (uint32 version, bytes32 vehicle,,) = waybills.tripTerms(trip);
        f.trip = trip;
        f.version = version;
        f.vehicle = vehicle;
        f.quantity = waybills.get(waybills.leafOf(trip)).quantity;
        f.at = uint64(block.timestamp);
        f.document = keccak256("loading slip");
        f.expires = soon();
        f.salt = salt();
    }

    function load(Loading memory f) internal {
        PartyId driver = waybills.get(waybills.leafOf(f.trip)).performer;
        bytes memory s = sign(driver, address(deliveries), hash(f));
        submit(address(deliveries), abi.encodeCall(deliveries.load, (f, s)));
    }

    function batchOf(TripId trip, uint32 index) internal view returns (TrackBatch memory f) {
        f.trip = trip;
        f.attestor = ATTESTOR1;
        f.index = index;
        f.root = keccak256(abi.encode("batch", index));
        f.count = 60;
        f.firstTime = uint64(block.timestamp) - 60;
        f.lastTime = uint64(block.timestamp);
    }

    function commit(TrackBatch memory f) internal {
        bytes memory s = sign(f.attestor, address(deliveries), hash(f));
        submit(address(deliveries), abi.encodeCall(deliveries.commitTrack, (f, s)));
    }

    function attestationOf(TripId trip, PartyId attestor) internal returns (Attestation memory f) {
        (f.version, f.vehicle, f.plan, f.policy) = waybills.tripTerms(trip);
        f.trip = trip;
        f.attestor = attestor;
        f.root = ROOT_HASH;
        f.verdict = uint8(Verdict.Pass);
        f.findings = FINDINGS;
        f.departedAt = uint64(block.timestamp) - 60;
        f.arrivedAt = uint64(block.timestamp);
        f.distanceM = 10_100;
        f.fixes = 180;
        f.lateBps = 0;
        f.expires = soon();
        f.salt = salt();
    }

    function attest(Attestation memory f) internal {
        bytes memory s = sign(f.attestor, address(deliveries), hash(f));
        submit(address(deliveries), abi.encodeCall(deliveries.attest, (f, s)));
    }

    function confirmationOf(TripId trip) internal returns (Confirmation memory f) {
        (f.version, f.vehicle,,) = waybills.tripTerms(trip);
        f.trip = trip;
        f.by = waybills.get(waybills.leafOf(trip)).consignee;
        f.accepted = waybills.get(waybills.leafOf(trip)).quantity;
        f.document = keccak256("receipt");
        f.at = uint64(block.timestamp);
        f.expires = soon();
        f.salt = salt();
    }

    function confirm(Confirmation memory f) internal {
        bytes memory s = sign(f.by, address(deliveries), hash(f));
        submit(address(deliveries), abi.encodeCall(deliveries.confirm, (f, s)));
    }

    function disputeOf(TripId trip, PartyId by) internal returns (Dispute memory) {
        return
            Dispute({
                trip: trip, by: by, reason: keccak256("reason"), expires: soon(), salt: salt()
            });
    }

    function dispute(Dispute memory f) internal {
        submit(
            address(deliveries),
            abi.encodeCall(deliveries.dispute, (f, sign(f.by, address(deliveries), hash(f))))
        );
    }

    function resolutionOf(TripId trip, uint8 outcome) internal returns (Resolution memory) {
        return Resolution({
            trip: trip,
            outcome: outcome,
            document: keccak256("settlement"),
            expires: soon(),
            salt: salt()
        });
    }

    function resolveByArbiter(TripId trip, uint8 outcome) internal {
        Resolution memory f = resolutionOf(trip, outcome);
        bytes[] memory s = new bytes[](1);
        s[0] = sign(ARBITER, address(deliveries), hash(f));
        submit(address(deliveries), abi.encodeCall(deliveries.resolve, (f, s, true)));
    }

    /// @dev Loading, three batches on the way, two attestations, the receipt: the receipt lands last.
    function deliver(TripId trip, uint64 accepted) internal {
        load(loadingOf(trip));
        drive(trip);
        Confirmation memory f = confirmationOf(trip);
        f.accepted = accepted;
        confirm(f);
    }

    function drive(TripId trip) internal {
        for (uint32 i = 0; i < 3; i++) {
            vm.warp(block.timestamp + 30 minutes);
            commit(batchOf(trip, i));
        }
        attest(attestationOf(trip, ATTESTOR1));
        attest(attestationOf(trip, ATTESTOR2));
    }

    // -- money ------------------------------------------------------------------------------------

    function accountOf(PartyId party) internal view returns (address) {
        return parties.accountOf(party);
    }

    function balanceOf(PartyId party) internal view returns (uint256) {
        return token.balanceOf(parties.accountOf(party));
    }

    function mint(address account, uint128 amount) internal {
        MintReceipt memory f = MintReceipt({
            bankReference: salt(), account: account, amount: amount, valueDay: advances.today()
        });
        bytes32 h = hash(f);
        submit(
            address(token),
            abi.encodeCall(
                token.mint,
                (f, sign(CUSTODIAN1, address(token), h), sign(CUSTODIAN2, address(token), h))
            )
        );
    }

    function payOut(bytes32 payout) internal {
        PayoutReceipt memory f =
            PayoutReceipt({payout: payout, sequence: salt(), valueDay: advances.today()});
        bytes32 h = hash(f);
        submit(
            address(token),
            abi.encodeCall(
                token.confirmPayout,
                (f, sign(CUSTODIAN1, address(token), h), sign(CUSTODIAN2, address(token), h))
            )
        );
    }

    function moveVault(PartyId lender, bool deposit, uint128 amount) internal {
        VaultMove memory f = VaultMove({
            lender: lender, deposit: deposit, amount: amount, expires: soon(), salt: salt()
        });
        submit(
            address(facility),
            abi.encodeCall(facility.moveVault, (f, sign(lender, address(facility), hash(f))))
        );
    }

    function fund(PartyId lender, uint128 amount) internal {
        mint(accountOf(lender), amount);
        moveVault(lender, true, amount);
    }

    function lineForm() internal returns (CreditLine memory f) {
        f.lender = LENDER;
        f.borrower = SUB;
        f.limit = 100_000_00;
        f.ratePpm = 109_500; // 300 ppm a day
        f.penaltyPpm = 164_250;
        f.ceilingPpm = 240_000;
        f.feeBps = 10;
        f.advanceBps = 9_000;
        f.toleranceBps = 100;
        f.tenorDays = 45;
        f.graceDays = 3;
        f.attestor = ATTESTOR1;
        f.validUntil = START + 365 days;
        f.terms = keccak256("loan contract");
        f.expires = soon();
        f.salt = salt();
    }

    function openLine(CreditLine memory f) internal returns (LineId) {
        bytes32 h = hash(f);
        bytes memory a = sign(f.lender, address(facility), h);
        bytes memory b = sign(f.borrower, address(facility), h);
        submit(address(facility), abi.encodeCall(facility.openLine, (f, a, b)));
        return LineId.wrap(h);
    }

    function changeLine(LineChange memory f) internal {
        bytes32 h = hash(f);
        (CreditLine memory terms,,,) = facility.get(f.line);
        submit(
            address(facility),
            abi.encodeCall(
                facility.changeLine,
                (
                    f,
                    sign(terms.lender, address(facility), h),
                    sign(terms.borrower, address(facility), h)
                )
            )
        );
    }

    // -- advances ---------------------------------------------------------------------------------

    uint128 internal constant PRINCIPAL = 6_400_00;

    function requestForm() internal returns (AdvanceRequest memory f) {
        f.line = line;
        f.waybill = mid;
        f.trip = TRIP;
        f.principal = PRINCIPAL;
        f.payees = new Payee[](1);
        f.payees[0] =
            Payee({party: DRIVER, waybill: leaf, account: DRIVER_ACCOUNT, amount: PRINCIPAL});
        f.fingerprint = keccak256("fingerprint");
        f.decision = keccak256("decision record");
        f.expires = soon();
        f.salt = salt();
    }

    function request(AdvanceRequest memory f) internal returns (AdvanceId) {
        (CreditLine memory terms,,,) = facility.get(f.line);
        bytes memory s = sign(terms.borrower, address(advances), hash(f));
        submit(address(advances), abi.encodeCall(advances.request, (f, s)));
        return AdvanceId.wrap(hash(f));
    }

    function acknowledgementOf(AdvanceId id) internal returns (Acknowledgement memory f) {
        f.advance = id;
        f.waybill = advances.get(id).waybill;
        f.debtor = waybills.get(f.waybill).issuer;
        f.trip = advances.get(id).trip;
        f.lender = advances.get(id).lender;
        f.notice = keccak256("notice of assignment");
        f.expires = soon();
        f.salt = salt();
    }

    function acknowledge(Acknowledgement memory f) internal {
        bytes memory s = sign(f.debtor, address(advances), hash(f));
        submit(address(advances), abi.encodeCall(advances.acknowledge, (f, s)));
    }

    function consentOf(AdvanceId id, uint256 index) internal returns (PayeeConsent memory f) {
        Payee memory payee = advances.payeesOf(id)[index];
        f.advance = id;
        f.party = payee.party;
        f.account = payee.account;
        f.expires = soon();
        f.salt = salt();
    }

    function consent(PayeeConsent memory f) internal {
        bytes memory s = sign(f.party, address(advances), hash(f));
        submit(address(advances), abi.encodeCall(advances.consent, (f, s)));
    }

    function approvalOf(AdvanceId id) internal returns (Approval memory f) {
        f.advance = id;
        f.borrower = advances.get(id).borrower;
        f.principal = advances.get(id).principal;
        f.approvedUntil = uint64(block.timestamp) + 5 days;
        f.expires = soon();
        f.salt = salt();
    }

    function approve(Approval memory f) internal {
        bytes memory s = sign(advances.get(f.advance).lender, address(advances), hash(f));
        submit(address(advances), abi.encodeCall(advances.approve, (f, s)));
    }

    /// @dev Whatever debtor, up to the standard principal, for a month.
    function ruleForm() internal returns (ApprovalRule memory f) {
        f.line = line;
        f.most = PRINCIPAL;
        f.until = uint64(block.timestamp) + 30 days;
        f.validFor = 5 days;
        f.document = keccak256("rule of credit");
        f.expires = soon();
        f.salt = salt();
    }

    function setRule(ApprovalRule memory f) internal {
        (CreditLine memory terms,,,) = facility.get(f.line);
        bytes memory s = sign(terms.lender, address(facility), hash(f));
        submit(address(facility), abi.encodeCall(facility.setRule, (f, s)));
    }

    function approveByRule(AdvanceId id) internal {
        submit(address(advances), abi.encodeCall(advances.approveByRule, (id)));
    }

    function agree(AdvanceId id) internal {
        acknowledge(acknowledgementOf(id));
        uint256 n = advances.payeesOf(id).length;
        for (uint256 i = 0; i < n; i++) {
            consent(consentOf(id, i));
        }
    }

    function approved(AdvanceRequest memory f) internal returns (AdvanceId id) {
        id = request(f);
        agree(id);
        approve(approvalOf(id));
    }

    function gate(AdvanceId id, bool open) internal {
        Gate memory f =
            Gate({advance: id, open: open, reason: "law", expires: soon(), salt: salt()});
        bytes memory s = sign(advances.get(id).lender, address(advances), hash(f));
        submit(address(advances), abi.encodeCall(advances.gate, (f, s)));
    }

    function repay(AdvanceId id, uint128 amount) internal {
        Repayment memory f = Repayment({advance: id, amount: amount, expires: soon(), salt: salt()});
        submit(
            address(advances),
            abi.encodeCall(
                advances.repay, (f, sign(advances.get(id).borrower, address(advances), hash(f)))
            )
        );
    }

    function act(AdvanceId id, uint8 what, uint128 value) internal {
        LenderAct memory f = LenderAct({
            advance: id,
            act: what,
            value: value,
            document: keccak256("document"),
            expires: soon(),
            salt: salt()
        });
        submit(
            address(advances),
            abi.encodeCall(
                advances.act, (f, sign(advances.get(id).lender, address(advances), hash(f)))
            )
        );
    }

    function cascade(WaybillId waybill, WaybillId child, uint128 most) internal {
        Cascade memory f =
            Cascade({waybill: waybill, child: child, most: most, expires: soon(), salt: salt()});
        submit(
            address(settlement),
            abi.encodeCall(
                settlement.signCascade,
                (f, sign(waybills.get(waybill).performer, address(settlement), hash(f)))
            )
        );
    }

    function payFreight(WaybillId waybill, uint128 amount) internal {
        mint(settlement.collectionAccount(waybill), amount);
        submit(address(settlement), abi.encodeCall(settlement.settle, (waybill)));
    }

    /// @dev A chain, a funded line, and the standard advance approved on it.
    function approvedAdvance() internal returns (AdvanceId id) {
        issueChain();
        line = openLine(lineForm());
        fund(LENDER, 50_000_00);
        id = approved(requestForm());
    }

    function assertState(AdvanceId id, AdvanceState wanted) internal view {
        assertEq(uint8(advances.get(id).state), uint8(wanted), "state of the advance");
    }

    function assertState(WaybillId id, WaybillState wanted) internal view {
        assertEq(uint8(waybills.get(id).state), uint8(wanted), "state of the waybill");
    }

    function assertState(TripId id, TripState wanted) internal view {
        assertEq(uint8(deliveries.stateOf(id)), uint8(wanted), "state of the trip");
    }
}
