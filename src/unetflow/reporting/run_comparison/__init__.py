"""HTML page that compares the parameters, scores and images of several trainings."""
