"""fleet: run functions, programs and scripts on many machines at once, and know what became of each."""

__version__ = "0.1.0"
