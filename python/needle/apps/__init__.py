"""Small complete programs on needle, importable: the course's exercises and a training loop."""
