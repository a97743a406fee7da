"""The face for TAXII 2.1 clients: SOC teams and partners, through any client they have.

Rule: strict out, lenient in. Everything sent follows the standard to the letter; what real clients
send is understood as long as only one reading of it is possible. Whatever goes wrong, here or in the
framework, is answered as a TAXII error resource that says what to do.

No right is decided twice and no object is judged here: what an account sees is `rights`, what leaves
or enters is `node.exchange`. Objects pass through as the bytes of their sender.

Read first: `protocol` (media types, errors), `rights` (who sees which collection), then the
endpoints: `discovery`, `objects`, `posts`, `statuses`.
"""
