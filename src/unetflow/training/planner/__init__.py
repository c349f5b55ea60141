"""Planning a training from the data, the memory and the minutes that are granted."""
