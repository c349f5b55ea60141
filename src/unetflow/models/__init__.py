"""The U-Net in Keras: architecture, losses, weights and model files."""
