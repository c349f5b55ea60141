"""The third floor: the stages, each with its nodes and their wiring."""
