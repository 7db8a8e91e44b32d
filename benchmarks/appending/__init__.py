"""The parts of `benchmarks/append.py`."""
