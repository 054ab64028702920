"""Finding, reading, recognising and checking datasets; no tokenizer, no torch."""
