"""What a run would cost, from its description."""
