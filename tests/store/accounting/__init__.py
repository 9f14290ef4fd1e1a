"""The usage ledger, samples and reports."""
