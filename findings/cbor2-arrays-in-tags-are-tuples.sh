#!/usr/bin/env bash
# cbor2 6 gives an array inside a tag as a tuple, where cbor2 5 gave a list.
#
# cbor2 5.9.0 and 6.3.0, Python 3.11.
#
# Expected: an array is a list, wherever it stands; isinstance(value, list) tells a COSE_Sign1
# (tag 18 around an array of four, as in the signature of a C2PA manifest) from anything else.
# Seen: with cbor2 6 the array within a tag it does not know is a tuple, and one outside is a list.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 5.9.0 6.3.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet "cbor2==$version"
    "$folder/$version/bin/python" - "$version" <<'PYTHON' | tee -a "$folder/out"
import sys

import cbor2

# d2 84...: tag 18, an array of four; 84...: the same array alone.
for name, data in (("in a tag", "d28440a040f6"), ("alone", "8440a040f6")):
    found = cbor2.loads(bytes.fromhex(data))
    print(sys.argv[1], name, type(getattr(found, "value", found)).__name__)
PYTHON
done
printf '%s\n' '5.9.0 in a tag list' '5.9.0 alone list' '6.3.0 in a tag tuple' '6.3.0 alone list' \
    | diff - "$folder/out"
