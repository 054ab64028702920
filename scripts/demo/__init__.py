"""How the demo is made: its sentences, its tokenizer, its model. `scripts/make_demo.py` is the command."""
