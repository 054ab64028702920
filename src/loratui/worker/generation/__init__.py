"""How answers are made: loading, streaming, taking turns, batches. Imports torch inside its functions or modules only.

load      a base model held once, with adapters that are switched on and off
settings  our generation settings as transformers' own
pieces    tokens to text while they come
turns     several sides answering side by side on one model
answer    one question, streamed
batch     many questions at once
"""
