"""How well segmentations agree with the truth. Pixels whose true label is 255 count nowhere."""
