#!/usr/bin/env bash
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#
# The same as run.sh, on a kernel without BTF, which is built first; threadprof has its types from a file (--btf).

cd "$(dirname "$0")" || exit
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! ./nobtf_kernel.sh >"$log" 2>&1; then
	sed '$d; s/^/# /' "$log"
	echo "1..0 # SKIP there is no kernel without BTF: $(tail -n 1 "$log")"
	exit 0
fi
cat "$log"
./run.sh bookworm-nobtf
