"""The first step: what this machine is, and what to train on."""
