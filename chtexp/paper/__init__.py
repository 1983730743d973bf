"""From a table's name to its cells, runs and results."""
