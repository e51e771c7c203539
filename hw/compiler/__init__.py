"""The compiler: from the integer graph to a program and its image, one module per pass."""
