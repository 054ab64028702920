"""Runs: the directories in which plans are executed, and what may be done to them from outside.

directory    one run's files by name
states       their names
folders      which folders are runs
status       its state, and the truth about it (`lost` is decided here)
events       the typed lines of events.jsonl, and reading them as they are written
lines        whole lines of a file that grows, forwards and from its end, in constant memory
history      what events tell of the past: those that count, the last start, the end
course       what made the present weights, and whether it went well
story        what the model card tells, gathered in one pass
compared     which of two runs is better on its held-out rows, and whether that can be said
outcome      how each of many runs has gone: best evaluation, spoilt or not
stall        a run that lives and makes no step, and where its processes stand
jobs         the jobs by which a scheduler executes a run, and its state by their word
submit       handing a run to the scheduler
start        making a run and starting its worker
resume       going on with a run that ended: as it is, changed, or for longer
control      signals: stopping, saving and evaluating now
listing      all runs of this machine
follow       a run as printed lines, for a terminal without a screen
fingerprint  what a run was trained on and with, and what would differ now
base_files   whether the files of a run's base are those that it was trained on, and which runs stand on a folder
measured     what runs showed of this machine
model_card   the README of a result
"""
