"""The Textual app. Imports neither torch nor transformers."""
