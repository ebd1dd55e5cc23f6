"""What master, minion and client agree on: no sockets, no threads, no clock.

Time and randomness come in as arguments. ``docs/architecture.md`` says what each file is for.
"""
