"""Sparse layers executed on the CPU by their links alone."""
