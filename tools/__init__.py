"""Files that are made from the core's op table and committed: `python -m tools` writes them."""
