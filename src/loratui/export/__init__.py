"""A plan as other tools' files."""
