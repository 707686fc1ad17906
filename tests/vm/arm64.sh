#!/usr/bin/env bash
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#
# The same as run.sh, on arm64.
exec "$(dirname "$0")/run.sh" bookworm-arm64 trixie-arm64
