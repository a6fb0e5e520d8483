"""Prints the requirements of a pyproject.toml, one a line, for an image's layer of packages.

pip can install a project with its requirements, or the requirements of a file; the layer shall have the
second, without the project's own code, which changes more often.
"""

import sys
import tomllib
from pathlib import Path

if __name__ == "__main__":
    print(*tomllib.loads(Path(sys.argv[1]).read_text())["project"]["dependencies"], sep="\n")
