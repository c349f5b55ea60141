"""What training minimises, by name and as a weighted sum, and the Dice that it shows."""
