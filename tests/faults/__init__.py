"""The fault harness: a real fleet under random faults, and an audit of what it says afterwards. ``make chaos``."""
