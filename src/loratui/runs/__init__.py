"""Runs: the directories in which plans are executed, and what may be done to them from outside.

    home       where runs and drafts live
    directory  one run's files by name
    status     its state, and the truth about it (`lost` is decided here)
    events     the typed lines of events.jsonl
    tail       reading events as they are written
    start      making a run and starting its worker
    control    stopping, saving now, resuming
    listing    all runs of this machine
    follow     a run as printed lines, for a terminal without a screen
"""
