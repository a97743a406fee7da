"""Carrying objects between partners.

    client      one partner's server, asked through a guarded line (`connection`, `refusals`, `answers`)
    bookmarks   how far each incoming link has read, in the partner's own words
    listing     what a partner offers, walked page by page
    pull        store it, each page whole or not at all
    push        bring what the feed holds: `batches` to our own kind, `foreign` to other software
    rounds      one round of one link, and when it is tried again
    worker      rounds of all links, one thread a partner
    leases      one run at a time for a partner, taken when there is something to do
    plan        what a round would do; `explain` says why an object did or did not go
    reconcile   the books of both sides, or a manifest, compared (`books_asked`, `comparing`)
    doctor      the whole way to a partner, look by look (`doctor_*`)
    withdraw    which acknowledgements are overdue
    health      in which state a link is, from the facts that `standing` gathers
    alerts      who must be told of what (`endings`, `alert_book`), and how (`channels`, `alert_messages`)

Rule: what comes and goes is judged by `node.exchange`, never here; this room only carries, counts and
remembers how far it came. Read `pull` first, then `batches`.
"""
