#!/bin/sh
# psutil 7.2.2 on Linux: Process.name() of a program that has renamed itself may be its whole command line.
# The kernel keeps 15 bytes of a name. psutil completes one of that length by the first word of /proc/PID/cmdline, if
# that begins with it. Programs such as setproctitle write all that is to be shown into that first word, arguments
# too, so a list of names shows what was kept out of it by not asking for command lines. The first 15 bytes are the name.
# Seen: "kernel: training-worker; psutil: training-worker --password=secret"
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet psutil==7.2.2 setproctitle==1.3.7
cat > "$folder/renamed.py" <<'PYTHON'
from pathlib import Path

import psutil
import setproctitle

setproctitle.setproctitle("training-worker --password=secret")
kept = Path("/proc/self/comm").read_text().strip()
told = psutil.Process().name()
print(f"kernel: {kept}; psutil: {told}")
assert kept == "training-worker", kept
assert told == "training-worker --password=secret", told
PYTHON
# The arguments leave room for a title, which is padded with null bytes.
"$folder/venv/bin/python" "$folder/renamed.py" --an-argument --another-argument-of-some-length
