"""A student as C in integers, and the same integers in NumPy."""
