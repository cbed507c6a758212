"""Comparison of two annotators by the field's rule, ANSI/AAMI EC57: beat by beat and run by run.

from kdjax import ec57
from kdjax.recordings import Annotations

result = ec57.compare(Annotations(sample, symbol), Annotations(sample, symbol), fs=360)
result.beats.matrix, result.beats.rr_error, result.ventricular.detected
print(ec57.tables.summary({"100": result}, reference="atr", test="kdjax"))
"""

from kdjax.ec57 import tables
from kdjax.ec57.comparison import LEARNING_SECONDS, MATCH_SECONDS, Comparison, compare
from kdjax.ec57.labels import CLASSES

__all__ = ["CLASSES", "LEARNING_SECONDS", "MATCH_SECONDS", "Comparison", "compare", "tables"]
