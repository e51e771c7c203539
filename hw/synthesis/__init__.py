"""What the engine costs on silicon: open synthesis, boards and their capacity, scripts for the vendor's tools."""
