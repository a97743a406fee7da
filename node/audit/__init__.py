"""What happened, provably: one leaf for each act, in the transaction of the act itself."""
