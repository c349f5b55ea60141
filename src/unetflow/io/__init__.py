"""Image files: formats, windows of large images, pixel sizes, archives."""
