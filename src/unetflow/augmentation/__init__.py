"""Random crops and changes of training images, and the weights of their pixels."""
