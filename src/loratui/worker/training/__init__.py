"""The parts of a training, in the order in which they come to work.

journal      events, status and heartbeat of the run
signals      what SIGTERM, SIGINT, SIGHUP and SIGUSR1 ask for
load_model   the base model, its tokenizer and its adapter
dataset      rows as token ids and labels
config       the plan as the libraries' own settings
provenance   what the run was trained on and with, and on which rows not
resuming     what a worker begins from: a checkpoint, trained weights, or the base
obey         the plan's settings over those that a checkpoint brings
proposed     what the calculation would propose for this run
mending      ways to mend a training that went wrong
recover      the first of them, applied unattended
outcome      whether the last fix helped
trainer      TRL's trainer with the plan's settings
callbacks    the trainer's life as events
evaluate     answers generated during the training, and their figures
failure      an exception as one sentence
memory       what was needed at most, and when it is full
rehearse     the trial before the run
"""
