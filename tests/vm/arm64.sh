#!/usr/bin/env bash
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#
# The same as run.sh, on arm64, whose emulation takes longer.
export VM_SECONDS="${VM_SECONDS:-1100}" VM_SECONDS_FOR_ONE="${VM_SECONDS_FOR_ONE:-400}"
exec "$(dirname "$0")/run.sh" bookworm-arm64 trixie-arm64
