"""How sure the numbers of a few images are, and whether two methods really differ."""
