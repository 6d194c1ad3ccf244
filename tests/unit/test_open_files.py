"""How many connections a service may have."""

import subprocess
import sys

LIMITED = """
import resource
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
from services.runtime.process import allow_open_files
allow_open_files()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
"""


def test_a_service_may_open_as_many_files_as_its_user_may_at_all() -> None:
    subprocess.run([sys.executable, "-c", LIMITED], check=True, timeout=60)
