"""The training loss, a weighted sum of named losses, and the Dice metric."""
