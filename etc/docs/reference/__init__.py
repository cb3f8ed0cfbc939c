"""The reference, made of the code that it describes."""
