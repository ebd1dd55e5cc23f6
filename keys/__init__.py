"""Identities of master and minion, what people compare of them, and the store of minion keys.

Everything here works on one state folder, with or without a running daemon. ``docs/architecture.md`` says what each
file is for.
"""
