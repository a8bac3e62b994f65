// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Where a form lies in calldata only assembly can say; hashing it in place spares a copy to memory.
/* solhint-disable no-inline-assembly */

/// @title The EIP-712 struct hash of a form of fixed size, from calldata as it came
/// @notice EIP-712 encodes such a form exactly as the ABI does, so its words are hashed where they lie. A word with bits that
/// its type has not makes a hash that no typed data has, so nobody can have signed it.
library FormHash {
    /// @param form where the form begins in calldata. @param words how many fields it has.
    function hashed(bytes32 typeHash, uint256 form, uint256 words)
        internal
        pure
        returns (bytes32 structHash)
    {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 32), form, mul(words, 32))
            structHash := keccak256(free, mul(add(words, 1), 32))
        }
    }
}
