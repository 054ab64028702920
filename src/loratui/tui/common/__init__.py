"""What several screens share: panels, lists, text."""
