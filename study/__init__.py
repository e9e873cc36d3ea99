"""The search: a question in TOML becomes trials, a ledger, a report and a bundle."""
