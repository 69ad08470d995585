#!/usr/bin/env bash
# The first beets command in a new folder leaves eleven backups of the empty library beside it.
#
# beets 2.14.1, Linux x86-64, Python 3.11.
#
# Expected: a database that was created a moment ago has nothing to migrate.
# Seen: it is taken through all migrations, and before each that changes a table it is copied,
# with a line on standard output: 600 kB of copies of nothing. A program that counts lines, or
# parses a command's output, sees these first. `create_backup_before_migrations: no` prevents it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet beets==2.14.1
mkdir "$folder/beets"
echo "directory: $folder/music" > "$folder/beets/config.yaml"
BEETSDIR="$folder/beets" "$folder/venv/bin/beet" ls | cut -d ' ' -f 1-4 | sort | uniq -c \
    | tee "$folder/out"
find "$folder/beets" -name '*.bak' | wc -l | tee -a "$folder/out"
diff -w - "$folder/out" <<'SEEN'
11 Created database backup at:
11
SEEN
