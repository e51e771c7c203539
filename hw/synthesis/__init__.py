"""FPGA resources of the engine: open-source synthesis, boards and their capacities, scripts for the vendor's tools."""
