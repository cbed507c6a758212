"""Training: the loop, one pure step, devices and processes."""
