"""The golden model: the integer graph in numpy."""
