"""The training loop and what it needs: learning rates, optimizers, checkpoints, progress."""
