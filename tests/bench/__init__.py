"""`make bench`: the figures of docs/performance.md, each beside the floor of the same machine in the same minute."""
