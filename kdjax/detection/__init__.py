"""Detection: from a recording to beats and decisions."""
