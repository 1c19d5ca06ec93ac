"""Refuse a commit whose subject is too long.

git's commit-msg hook runs this with the file that holds the message.
"""

from __future__ import annotations

import sys
from pathlib import Path

LONGEST = 72  # characters, which git log and code review show without cutting

subject = Path(sys.argv[1]).read_text(encoding="utf-8").partition("\n")[0]
if len(subject) > LONGEST:
    sys.exit(
        f"The commit's subject has {len(subject)} characters, more than {LONGEST}: {subject!r}. "
        "Shorten it, and put the reason into the body, after an empty line."
    )
