"""The compiler: integer graph in, program and image out; one pass a module."""
