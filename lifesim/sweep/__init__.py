"""Sweeps: a scenario at many points of some of its keys, under some schedules, in some replications; what its measures come to, and what they depend on."""
