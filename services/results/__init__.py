"""What the coordinate sink keeps and writes: the store, the tables, the summary, the pictures.

docs/results.md describes every file and column.
"""

from .errors import StoreError
from .record import Kind, Record, Writer, kind_of
from .store import Counts, ResultStore

__all__ = ["Counts", "Kind", "Record", "ResultStore", "StoreError", "Writer", "kind_of"]
