"""The PyTorch half: layers, quantizers, data, training, and freezing into an integer graph."""
