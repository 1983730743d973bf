"""A run trained by several processes: who starts them, what files they exchange, and what each of them does."""
