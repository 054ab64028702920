"""Runs in the trackers that people have: TensorBoard, Weights & Biases, trackio and MLflow, fed from `events.jsonl`."""
