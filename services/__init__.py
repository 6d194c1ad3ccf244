"""The processes of the chain, one thin file each, and the command line."""
