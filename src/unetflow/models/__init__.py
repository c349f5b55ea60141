"""The U-Net in Keras, its losses and its files."""
