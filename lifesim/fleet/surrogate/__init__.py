"""Devices whose tests and accuracy are predicted from the faults that they have, instead of being read from their networks.

Everything else of a device is what it is in the exact simulation: its life, its visits, its place, its cells' limits, the link, the cloud.
"""
