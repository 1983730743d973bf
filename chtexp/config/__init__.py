"""From what a person types to one frozen Run; free of torch, and the only room that knows Hydra."""
