"""What a STIX object is: the only folder that decodes bodies.

Pure: nothing here reads a clock, a file of the operator, a socket or a database. The one thing
read from disk is the OASIS schemas, as files of the installed stix2-validator package.

Nouns
    body      the exact bytes of one version, as its sender wrote them; kept and served for ever
    envelope  TAXII's container on the wire; a bundle is STIX's container in files
    digest    SHA-256 over the canonical form of a body: what two nodes compare
    marking   what says how far an object may go; its rank is one number from NO_TLP to UNKNOWN

Rule    A body is decoded once, checked, and never written again from what was decoded. Whatever
        a stranger can send ends in a StixObject or in InvalidObject, and in nothing else.

Read first  `objects.read` (the way from bytes to facts), then `markings.rank`.
"""
