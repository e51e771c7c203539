"""The PyTorch side: layers, quantizers, training, and freezing into an integer graph."""
