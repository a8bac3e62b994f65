// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Promises} from "./Promises.sol";

/// @title Promises A to L after every call of random play by all parties
/// @dev One campaign for all letters: a campaign for each would play the same games twelve times over.
/// `FOUNDRY_PROFILE=deep` makes 1,024 runs of 64 calls; the handler reports refusals itself, so a revert is a failure.
contract PromisesTest is Promises {
    function setUp() public override {
        startPlay();
        bytes4[] memory only = new bytes4[](1);
        only[0] = play.step.selector;
        targetSelector(FuzzSelector({addr: address(play), selectors: only}));
    }

    function invariant_promises_A_to_L() public view {
        keepsEveryPromise();
    }
}

/// @title The same with anybody calling the contracts themselves as well, with any arguments
/// @dev Nothing that these calls can say is signed, so each must be refused or change nothing: every letter still holds.
/// Left out are the verbs that need no signature, which would move things behind the back of the handler's books; it plays
/// them itself. Refusals are expected here (`FOUNDRY_PROFILE=deep_open`).
contract OpenPromisesTest is Promises {
    function setUp() public override {
        startPlay();
        // Something must be there to be attacked: strangers take most of the calls that follow.
        for (uint256 i = 0; i < 150; i++) {
            play.step(i);
        }
        bytes4[] memory no = new bytes4[](1);
        no[0] = play.setUp.selector;
        excludeSelector(FuzzSelector({addr: address(play), selectors: no}));
        address[6] memory all = [
            address(waybills),
            address(deliveries),
            address(token),
            address(facility),
            address(advances),
            address(settlement)
        ];
        for (uint256 i = 0; i < all.length; i++) {
            targetContract(all[i]);
        }
        targetContract(address(parties));
        // Not as one of the contracts themselves, nor as the administrator: those are tried in attacks/.
        for (uint256 i = 0; i < all.length; i++) {
            excludeSender(all[i]);
        }
        excludeSender(admin);
        excludeSender(address(play));
        bytes4[] memory open = new bytes4[](3);
        open[0] = advances.retry.selector;
        open[1] = advances.expire.selector;
        open[2] = advances.approveByRule.selector;
        excludeSelector(FuzzSelector({addr: address(advances), selectors: open}));
        open = new bytes4[](1);
        open[0] = deliveries.expire.selector;
        excludeSelector(FuzzSelector({addr: address(deliveries), selectors: open}));
        open[0] = settlement.settle.selector;
        excludeSelector(FuzzSelector({addr: address(settlement), selectors: open}));
    }

    /// forge-config: default.invariant.fail-on-revert = false
    function invariant_promises_A_to_L_whoever_calls_what() public view {
        keepsEveryPromise();
    }
}
