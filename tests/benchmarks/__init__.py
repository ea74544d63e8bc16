"""Benchmarks, by ``python -m tests.benchmarks`` in a clone; docs/performance.md says what they measure. No part of the tests: pytest collects none."""
