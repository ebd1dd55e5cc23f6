"""The minion's daemon, and ``fleet-call``: runs functions and returns what became of them."""
