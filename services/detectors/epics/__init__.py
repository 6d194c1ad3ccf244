"""Images over EPICS PV Access, as areaDetector publishes them (extra `epics`).

`ntndarray.py` reads an image out of the structure, `channel.py` is the only file that touches p4p.
"""
