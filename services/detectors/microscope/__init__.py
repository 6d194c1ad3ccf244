"""Files as microscopes write them, read through rosettasciio in a process of its own.

`kinds.py` says which files these are, `reading.py` asks a reader for one, `child.py` is that
reader: the only file that touches rosettasciio, which is optional (GPL) and, like the HDF5 library
under it, was not written for hostile files. What kills it, hangs it or makes it claim too much
memory costs one child process and one file.
"""
