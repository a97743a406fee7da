"""The one door, and its books.

Objects come in through `ingress` and leave through `egress`, and by no other way; a contract keeps every
other room from the tables of objects.

    ingress    admit: read, gather, decide, place, enter in the books
    egress     a page, a feed's page, a batch for a push, an export
    feeds      what each partner is offered, examined by `date_added` and by what is due
    ledger     what partners brought, and what they do not get and why
    quarantine objects set aside for a person
    activity   in which hours a link had something new
    remarking  rows ranked again when a marking definition arrives
    removal    deletion and its tombstones; retention erases by the same way
    worklist   what a person does with what waits in the quarantine (`corrections`, `fullness`)
    quotas     how much a partner may bring in a day
    taking_back  withdrawals (`withdrawals`, `acknowledging`); `compromise` for what a partner brought
    finding    a value, name or id (`value_index`), and who had it (`readership`)
    books_told what our books tell a partner of our own kind; `vanished` marks what its source lists no more
    history    what was carried, run by run, and the totals of each day
    previewing what an advance would decide

Rule: decide, then do. `situation` and `judging` gather and ask the pure rules of `node/sharing`; `placing`
and `feed_rows` write. Read `ingress` first, then `feeds`.
"""
