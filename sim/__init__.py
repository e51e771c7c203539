"""Golden model, verification, and everything that executes a frozen model on a computer."""
