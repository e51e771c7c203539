"""The levels of the verification ladder, and the comparison of their tensors."""
