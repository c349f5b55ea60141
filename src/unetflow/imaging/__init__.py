"""The ground floor: images and labels as NumPy arrays. No Keras, no Kedro."""
