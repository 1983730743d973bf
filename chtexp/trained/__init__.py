"""A finished network put to use: translate, generate, zero-shot tasks, export."""
