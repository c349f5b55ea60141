"""Runtimes that compute a finished network: Keras, OpenVINO and ONNX Runtime."""
