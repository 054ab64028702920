"""The field's folk knowledge beside what the evidence says: the guides' tables and published rates.

Nothing is imported here: the calculation needs the rates at each start, the tables (`guides`) only when a person asks.
"""
