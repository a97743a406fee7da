"""`stixnode demo`: two nodes on this machine exchange over TLS, and are compared object by object.

    command        the story, from founding to the verdict
    stage          two nodes founded by the public commands, their agreement, their servers
    certificates   a throw-away certificate authority
    rounds         sync until nothing moves
    comparison     what the sender permits against what the receiver holds or explains
    expectations   what a file must lead to, worked out from its content alone
    reading        both sides as a SOC reads them
    report         what people see
    medallion      the reference server as the partner

Rule: the demo uses what an operator has; the verdict comes from both stores, never from reports.
"""
