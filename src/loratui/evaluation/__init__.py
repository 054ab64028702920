"""How good answers are, how sure that is, and what was answered: figures with intervals, row by row. Imports no torch.

measures    what is measured: names, directions, units, and how rows' figures become one
scoring     the figures of each row
intervals   95 % intervals of a figure, and of the difference of two on the same rows
verdict     a difference in words, and how many rows would tell it
records     answers and likelihoods on disk, row by row
report      the document and the table of an evaluation
"""
