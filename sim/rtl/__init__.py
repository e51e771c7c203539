"""The RTL compiled with Verilator, driven through ctypes; waveforms and coverage."""
