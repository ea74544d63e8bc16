"""Detection schedules compared on the same devices: replications of a scenario under each, paired differences, and when a difference is not real."""
