"""What masks and annotation files mean, and the layouts in which data sets store them."""
