"""One run, from its description to result.json."""
