"""Commands of the command line, a module each; what several of them take is in :mod:`lifesim.commands.common`."""
