"""Studies: a grid of variants, seeds and splits, trained, scored and compared."""
