// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev Issued -> InTransit (a leaf below is loaded) -> Delivered (every quantity is) -> Paid; Issued -> Cancelled;
/// InTransit -> Cancelled only when every trip below is void.
enum WaybillState {
    None,
    Issued,
    InTransit,
    Delivered,
    Paid,
    Cancelled
}

/// @dev Open -> Loaded -> Delivered; Loaded <-> Held (dispute); Open/Loaded/Held -> Void.
enum TripState {
    None,
    Open,
    Loaded,
    Held,
    Delivered,
    Void
}

enum Verdict {
    None,
    Pass,
    Review,
    Fail
}

/// @dev Requested -> Approved -> Releasable -> Released -> Repaid; Approved -> Released in one transaction.
/// Requested -> Declined; Approved/Releasable -> Voided (expired before delivery, gate closed or not answered);
/// Released -> Defaulted -> WrittenOff; Released/Defaulted -> Repaid; WrittenOff keeps the claim: recoveries do not move it
/// until it is paid in full -> Repaid. Overdue is not stored: it is a fact of the calendar.
enum AdvanceState {
    None,
    Requested,
    Approved,
    Releasable,
    Released,
    Repaid,
    Defaulted,
    WrittenOff,
    Declined,
    Voided
}

/// @dev Queued -> Paid. A rejected payout stays Queued for its payee (under a new account if he signs for one).
enum PayoutState {
    None,
    Queued,
    Paid
}
