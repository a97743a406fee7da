"""A node on a disk that loses its power: what was written and not synced may be gone, kept or torn.

disk      what such a disk keeps: a model in plain Python
vfs       SQLite's file system that writes down every call, in order
driver    what `node.store.database` speaks to instead of pysqlite3: the same SQLite calls, over that VFS
work      what the node does meanwhile, and what it acknowledged
lives     one run of the node, written down once; its power may fail after any call
books     what must hold in the database that is found afterwards
verdict   what is wrong with what is found: lost, torn or broken
"""
