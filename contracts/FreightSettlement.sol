// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {IFreightAdvance} from "./interfaces/IFreightAdvance.sol";
import {IFreightSettlement} from "./interfaces/IFreightSettlement.sol";
import {IPartyRegistry} from "./interfaces/IPartyRegistry.sol";
import {ISettlementToken} from "./interfaces/ISettlementToken.sol";
import {IWaybillRegistry, WaybillRecord} from "./interfaces/IWaybillRegistry.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {MoneyHash} from "./libraries/MoneyHash.sol";
import {AdvanceId, WaybillId} from "./types/Ids.sol";
import {Cascade} from "./types/MoneyForms.sol";
import {WaybillState} from "./types/States.sol";

/// @title Freight paid in, shared out
/// @notice Promises G and I. The manual is IFreightSettlement.
contract FreightSettlement is IFreightSettlement, EIP712, ReentrancyGuard {
    using MoneyHash for *;

    // -- what is stored ---------------------------------------------------------------------------

    /// @dev What a performer lets flow on to a waybill that he issued; `most` falls as it is spent.
    struct Flow {
        WaybillId child;
        uint128 most;
    }

    /// @inheritdoc IFreightSettlement
    uint256 public constant MAX_CASCADES = 16;

    IPartyRegistry private immutable PARTIES;
    IWaybillRegistry private immutable WAYBILLS;
    IFreightAdvance private immutable ADVANCE;
    address private immutable TOKEN;

    mapping(WaybillId waybill => Flow[]) private _flows;
    mapping(bytes32 digest => bool) private _used;

    constructor(
        IPartyRegistry parties,
        IWaybillRegistry waybills,
        IFreightAdvance advance,
        address token
    ) EIP712("Yundan", "1") {
        PARTIES = parties;
        WAYBILLS = waybills;
        ADVANCE = advance;
        TOKEN = token;
    }

    // -- cascades ---------------------------------------------------------------------------------

    /// @inheritdoc IFreightSettlement
    function signCascade(Cascade calldata form, bytes calldata performerSignature) external {
        if (block.timestamp > form.expires) {
            revert SettlementFormExpired(form.expires, uint64(block.timestamp));
        }
        bytes32 digest = _hashTypedDataV4(form.hash());
        if (_used[digest]) revert SettlementFormUsed(digest);
        _used[digest] = true;
        if (form.most == 0 || WAYBILLS.get(form.child).parent != form.waybill) {
            revert SettlementChildInvalid(form.waybill, form.child);
        }
        if (_flows[form.waybill].length == MAX_CASCADES) {
            revert SettlementCascadesTooMany(form.waybill, MAX_CASCADES);
        }
        PARTIES.requireSignature(WAYBILLS.get(form.waybill).performer, digest, performerSignature);

        _flows[form.waybill].push(Flow({child: form.child, most: form.most}));
        emit CascadeSigned(form.waybill, form.child, form.most);
    }

    // -- settlement -------------------------------------------------------------------------------

    /// @inheritdoc IFreightSettlement
    function settle(WaybillId waybill) external nonReentrant {
        if (!_settle(waybill)) revert SettlementNothingToSettle(waybill);
    }

    /// @dev Takes min(what lies there, what is owed); shares it; what is above goes back to the issuer once nothing more
    /// can become owed. Depth is the chain's, width MAX_CASCADES a waybill: it ends.
    function _settle(WaybillId waybill) private returns (bool) {
        address account = Accounts.ofCollection(waybill);
        uint256 balance = IERC20(TOKEN).balanceOf(account);
        if (balance == 0) return false;
        WaybillRecord memory w = WAYBILLS.get(waybill);
        uint256 take = Math.min(balance, WAYBILLS.outstanding(waybill));
        // Freight paid before its delivery waits for it.
        bool final_ = w.state == WaybillState.Delivered || w.state == WaybillState.Paid
            || w.state == WaybillState.Cancelled;
        uint256 refund = final_ ? balance - take : 0;
        if (take == 0 && refund == 0) return false;

        uint256 toLoans = 0;
        uint256 toChildren = 0;
        if (take != 0) {
            WAYBILLS.recordPaid(waybill, uint128(take));
            toLoans = _toLoans(waybill, account, take);
            toChildren = _toChildren(waybill, account, take - toLoans);
        }
        uint256 toPerformer = take - toLoans - toChildren;
        emit FreightSettled(
            waybill,
            uint128(take + refund),
            uint128(toLoans),
            uint128(toChildren),
            uint128(toPerformer),
            uint128(refund)
        );
        _move(account, Accounts.ofParty(w.performer), toPerformer);
        _move(account, Accounts.ofParty(w.issuer), refund);
        return true;
    }

    /// @dev Oldest first; each takes fee, penalty, interest and principal in the order of its contract.
    function _toLoans(WaybillId waybill, address account, uint256 amount)
        private
        returns (uint256 spent)
    {
        AdvanceId[] memory advances = ADVANCE.advancesOn(waybill);
        for (uint256 i = 0; i < advances.length && spent < amount; i++) {
            // One that is not released yet takes nothing.
            uint256 used = ADVANCE.settle(advances[i], account, uint128(amount - spent));
            if (used == 0) continue;
            spent += used;
            emit LoanSettled(waybill, advances[i], uint128(used));
        }
    }

    /// @dev Residue only, by its owner's signature, and never more than the child is owed.
    function _toChildren(WaybillId waybill, address account, uint256 amount)
        private
        returns (uint256 spent)
    {
        Flow[] storage flows = _flows[waybill];
        for (uint256 i = 0; i < flows.length && spent < amount; i++) {
            WaybillId child = flows[i].child;
            address childAccount = Accounts.ofCollection(child);
            uint256 owed = WAYBILLS.outstanding(child);
            // What lies in the child's account already pays first.
            owed -= Math.min(owed, IERC20(TOKEN).balanceOf(childAccount));
            uint256 part = Math.min(Math.min(flows[i].most, owed), amount - spent);
            if (part == 0) continue;
            flows[i].most -= uint128(part);
            spent += part;
            _move(account, childAccount, part);
            _settle(child);
        }
    }

    function _move(address from, address to, uint256 amount) private {
        if (amount != 0) ISettlementToken(TOKEN).move(from, to, uint128(amount));
    }

    // -- reading ----------------------------------------------------------------------------------

    /// @inheritdoc IFreightSettlement
    function collectionAccount(WaybillId waybill) external pure returns (address) {
        return Accounts.ofCollection(waybill);
    }

    /// @inheritdoc IFreightSettlement
    function cascadesOf(WaybillId waybill) external view returns (WaybillId[] memory children) {
        Flow[] storage flows = _flows[waybill];
        children = new WaybillId[](flows.length);
        for (uint256 i = 0; i < children.length; i++) {
            children[i] = flows[i].child;
        }
    }

    /// @inheritdoc IFreightSettlement
    function cascadeLeft(WaybillId waybill, uint256 index) external view returns (uint128) {
        Flow[] storage flows = _flows[waybill];
        return index < flows.length ? flows[index].most : 0;
    }
}
