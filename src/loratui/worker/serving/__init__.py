"""Answers over HTTP in the way of OpenAI's interface: one base in memory, adapters switched on it."""
