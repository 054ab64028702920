"""The side of the workers that imports no torch: how they are started, asked and understood. `loratui.worker` is the
other side.
"""
