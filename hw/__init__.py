"""The accelerator: its instruction set, the compiler from integer graphs to programs, and its RTL."""
