"""What processes that train together say to each other."""
