"""Images of any size through a network, window by window."""
