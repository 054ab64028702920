"""The parts of a training; `session` brings them together."""
