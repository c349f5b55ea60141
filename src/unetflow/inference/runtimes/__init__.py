"""What computes a finished network: Keras, OpenVINO or ONNX Runtime."""
