"""Write conf/paper/ids.lock.json anew, in minutes: `python scripts/update_ids.py`. A changed identity is a line of its diff."""

from __future__ import annotations

from chtexp.config.resources import conf_dir
from chtexp.paper.lock import FILE, write_lock
from chtexp.paper.lock_making import make_lock

if __name__ == "__main__":
    lock = make_lock(lambda line: print(line, flush=True))
    write_lock(conf_dir() / FILE, lock)
    print(f"written: {conf_dir() / FILE}, {len(lock.runs)} identities")
