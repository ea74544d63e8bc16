"""Detection and recovery beyond the paper: every promise with its measurement, in one table."""
