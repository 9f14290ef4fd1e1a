"""What accounts cost: the usage ledger, and the limits of users."""
