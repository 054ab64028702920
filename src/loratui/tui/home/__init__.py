"""The home screen: past runs, what differs between them, and the ways on: a draft, a new one, the demo."""
