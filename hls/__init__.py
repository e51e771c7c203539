"""The engine in Vitis HLS C++, and the exporter of its project."""
