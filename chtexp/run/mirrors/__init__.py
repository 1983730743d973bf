"""Tracking tools that mirror a run's records: one a file, each needs the library that it is named after."""
