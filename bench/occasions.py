# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Results of benches on different occasions, kept in bench/results/*.json."""
import json
import os
import time

from workloads import HERE

RESULTS = os.path.join(HERE, "results")
# Parts that are measured within this time belong to one occasion.
SAME_OCCASION_S = 1800


def _all_files():
    return sorted(name for name in os.listdir(RESULTS) if name.endswith(".json")) if os.path.isdir(RESULTS) else []


def _read(name):
    with open(os.path.join(RESULTS, name)) as results:
        return json.load(results)


def _round(value):
    if isinstance(value, dict):
        return {key: _round(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_round(one) for one in value]
    return float("%.4g" % value) if isinstance(value, float) else value


class Occasion:
    """One file of results; without a name the newest, if that is not too old to be added to."""
    def __init__(self, name=None):
        self.name = name + ".json" if name else self._newest() or time.strftime("%Y-%m-%dT%H%MZ.json", time.gmtime())
        if self.name in _all_files():
            self.data = _read(self.name)
        else:
            self.data = {"begin": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                         "kernel": ".".join(os.uname().release.split(".")[:2]),
                         "machine": os.uname().machine, "cpus": os.cpu_count()}

    @staticmethod
    def _newest():
        files = _all_files()
        is_fresh = files and time.time() - _read(files[-1]).get("end_s", 0) < SAME_OCCASION_S
        return files[-1] if is_fresh else None

    def add(self, section, name, value):
        """Written at once: what was measured is not lost with a later part."""
        self.data.setdefault(section, {})[name] = _round(value)
        self.data["end_s"] = int(time.time())
        os.makedirs(RESULTS, exist_ok=True)
        with open(os.path.join(RESULTS, self.name), "w") as results:
            results.write(_dump(self.data))


def _dump(data, depth=0):
    """JSON with a line for each object below which there is none."""
    if not isinstance(data, dict) or not data or not any(isinstance(v, dict) for v in data.values()):
        return json.dumps(data, ensure_ascii=False)
    pad = "  " * (depth + 1)
    lines = ["%s%s: %s" % (pad, json.dumps(key, ensure_ascii=False), _dump(value, depth + 1))
             for key, value in data.items()]
    return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}" + ("" if depth else "\n")


def load_all():
    return [_read(name) for name in _all_files()]
