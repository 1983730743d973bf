"""Runs and their grids: from a description to a finished folder."""
