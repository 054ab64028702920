"""The field's folk knowledge beside what the evidence says: the guides' tables, published rates, float16's range.

Nothing is imported here: the calculation needs the rates and the range at each start, the tables (`guides`) only when a
person asks.
"""
