"""What travels into the image: the shim that runs a function, and answers to Fairing's names.

Standard library only, and readable by Python 3.8: images may be older than this machine.
"""
