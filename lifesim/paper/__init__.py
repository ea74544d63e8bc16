"""RRAMedy's evaluation again, with the code that fleets run: its tables and figures, each number beside the paper's.

Only what is the paper's own is here: which networks, rates and claims (paper.toml), how its text is read (readings.toml), and the protocol of each
table and figure, one module a family. Networks, cells, detection and recovery are the fleet's.
"""
