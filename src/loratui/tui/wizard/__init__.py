"""What the wizard knows, one object a question; no screen is needed to use them. `tui.wizard.state` puts them
together.
"""
