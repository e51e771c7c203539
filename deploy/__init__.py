"""A compiled model in use: predictions from text, with numpy alone."""
