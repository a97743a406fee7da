"""Who asks: accounts of machines, persons with roles, and the tokens by which both are known.

Nothing here decides what may cross; it says who somebody is, which collections an account may read
and write, and up to which level. Every change makes all processes ask again at their next request,
and leaves its leaf in the audit log, in the same transaction.
"""
