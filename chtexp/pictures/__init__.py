"""Images of one's own: read into arrays, split, measured once, and kept. Knows nothing of torch."""
