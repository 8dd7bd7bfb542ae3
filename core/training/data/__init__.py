"""Training and validation images of each model, and their batches."""
