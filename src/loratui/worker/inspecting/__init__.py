"""The parts of the inspect worker: reading, tokenising, counting and rendering a dataset for one model."""
