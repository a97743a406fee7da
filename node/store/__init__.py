"""Where objects rest: the tables, the database, and the modules that alone write to each table.

`schema` defines every table once, `database` opens SQLite or PostgreSQL and gives transactions that
behave alike, `migrate` brings a database to the tables of this program, `catalog` keeps the node,
its collections and flows, `highwater` notices a database that went back in time. Statements stand at
the head of the module that owns the table; a function is given its transaction and never commits.
"""
