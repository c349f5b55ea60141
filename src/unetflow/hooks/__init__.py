"""What Kedro calls before, during and after a run: one class in each module."""
