"""The shared record and the only door to it."""
