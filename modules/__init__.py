"""What a minion can do: one file an execution module, plain typed functions that can be called from a prompt."""
