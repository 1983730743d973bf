"""The training loop and what it needs: learning rates, precision, gradients over processes, checkpoints, progress."""
