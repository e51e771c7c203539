"""A virtual board: a device of pynq, behind which the Verilated engine and a model of the AXI DMA run."""
