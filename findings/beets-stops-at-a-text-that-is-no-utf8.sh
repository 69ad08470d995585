#!/usr/bin/env bash
# One value that is no UTF-8 in beets' database ends every beets command in a traceback.
#
# beets 2.14.1, SQLite 3.40 and 3.46, Linux x86-64, Python 3.11.
#
# Expected: SQLite takes any bytes for TEXT, so another program (or an old version) may have left
# some that are no UTF-8; the one field looks odd, and the library stays usable.
# Seen: sqlite3 raises OperationalError when it decodes the column, beets catches that nowhere,
# and `beet ls`, `modify` and `update` end in a traceback that names neither track nor field.
# The same bytes as a BLOB do no harm. Who reads the database by own SQL is safe with
# CAST(value AS BLOB), decoded with errors="replace".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet beets==2.14.1
export BEETSDIR="$folder/beets"
mkdir "$BEETSDIR"
cat > "$BEETSDIR/config.yaml" <<YAML
directory: $folder/music
create_backup_before_migrations: no
YAML
"$folder/venv/bin/beet" ls
for kind in BLOB TEXT; do
    "$folder/venv/bin/python" - "$kind" <<'PYTHON'
import os
import sqlite3
import sys

with sqlite3.connect(os.environ["BEETSDIR"] + "/library.db") as database:
    database.execute("INSERT OR REPLACE INTO items (id, title, path) VALUES (1, 'Song', x'61')")
    database.execute(
        "INSERT INTO item_attributes (entity_id, key, value)"
        f" VALUES (1, 'mood', CAST(x'41ff42' AS {sys.argv[1]}))"
    )
PYTHON
    "$folder/venv/bin/beet" ls -f '$title' 2>&1 | tail -n 1 | cut -c 1-60 | iconv -c -t ascii || true
done | tee "$folder/out"
diff - "$folder/out" <<'SEEN'
Song
sqlite3.OperationalError: Could not decode to UTF-8 column '
SEEN
