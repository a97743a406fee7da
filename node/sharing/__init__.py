"""What may cross between two centres, and why: pure rules, no database, no clock, no network.

Nouns   agreement (the signed terms), party, flow (what one collection carries, from whom to whom),
        partner (a party other than us, and how to reach its node), link (one flow of one partner
        in one direction, as our node sees it), decision (the answer of a rule).

Rule    What may cross stands only in the agreement, which is the same file at both centres. The
        configuration binds names to places and may only tighten. A key that is not known, or not
        yet enforced, stops the node: a misspelt or unkept limit is no limit.

Read first `agreements.py` (what was agreed), then `links.py` (what follows from it for this node),
then `decisions.py` (may this object go by that link). `tables.py` reads the tables of TOML files
and gathers every problem of a file into one error.
"""
