#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""The matrix of tests/system/test_findings.py several times: is each finding on top in its scenario, and in no
other?  usage: bench/findings.py [RUNS]   (root; after `make workload`)"""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
runs, bad = int(sys.argv[1]) if len(sys.argv) > 1 else 5, 0
for run in range(1, runs + 1):
    print("run %d of %d" % (run, runs), flush=True)
    bad += subprocess.run([os.path.join(ROOT, "tests", "system", "test_findings.py")]).returncode != 0
print("%d of %d runs without a false alarm and without a miss" % (runs - bad, runs))
sys.exit(bad > 0)
