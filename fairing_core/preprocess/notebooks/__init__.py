"""What a notebook is: its file, its cells as Python, and which one runs now."""
