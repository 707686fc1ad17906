# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Results of benches on different occasions, kept in bench/results/*.json, and the tables of docs/overhead.md from them."""
import json
import os
import statistics
import time

from workloads import HERE, ROOT

RESULTS = os.path.join(HERE, "results")
DOC = os.path.join(ROOT, "docs", "overhead.md")
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
            self.data = {"begin": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "kernel": os.uname().release,
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


# ---- as text ---------------------------------------------------------------------------------------

def spread(values, form="%.2f"):
    """Median, and lowest to highest."""
    if not values:
        return "-"
    if len(values) == 1:
        return form % values[0]
    return "%s (%s–%s)" % tuple(form % v for v in (statistics.median(values), min(values), max(values)))


def middle(values, form="%.2f"):
    return form % statistics.median(values) if values else "-"


def lines_of(name, result):
    if "spawned" in result:
        yield "%s: %s" % (name, ", ".join("%s %d" % pair for pair in result.items()))
        return
    for tool, cell in result.items():
        yield "%-28s %-30s kept %-22s CPU %-22s own %s of a CPU, %s MiB" % (
            name, tool, spread(cell["kept"]), spread(cell["cpu"]), middle(cell["own"], "%.3f"),
            middle(cell["peak_mib"], "%.0f"))


# ---- the page --------------------------------------------------------------------------------------

def write_into(mark, rows, path=DOC):
    """Replaces what stands between the two marks of this name."""
    with open(path) as page:
        text = page.read()
    begin, end = "<!-- %s -->\n" % mark, "<!-- /%s -->" % mark
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    with open(path, "w") as page:
        page.write(head + begin + "\n".join(rows) + "\n" + end + tail)


def _date(data):
    return data["begin"][5:16].replace("T", " ")


def _rows_of(names, cell_of, columns):
    """One row for each workload and tool that any occasion has; cell_of(occasion's cell, column)."""
    data = load_all()
    yield "| workload | tool | " + " | ".join("%s, %s" % (title, _date(d)) for title in columns for d in data) + " |"
    yield "|---|---|" + "---|" * (len(columns) * len(data))
    for name in names:
        tools = []
        for d in data:
            tools += [t for t in d.get("workloads", {}).get(name, {}) if t not in tools]
        for tool in tools:
            cells = [d.get("workloads", {}).get(name, {}).get(tool, {}) for d in data]
            yield "| %s | %s | %s |" % (name, tool, " | ".join(
                cell_of(cell, title) for title in columns for cell in cells))


def _beside(names):
    keys = {"kept": "kept", "CPU": "cpu"}
    return list(_rows_of(names, lambda cell, title: spread(cell.get(keys[title], [])), keys))


def _own(names):
    """What the tools take themselves, over all occasions."""
    data = load_all()
    yield "| workload | tool | its own CPU, % of one | its peak memory |"
    yield "|---|---|---|---|"
    for name in names:
        cells = {}
        for d in data:
            for tool, cell in d.get("workloads", {}).get(name, {}).items():
                if cell.get("own"):
                    merged = cells.setdefault(tool, {"own": [], "peak_mib": []})
                    merged["own"] += cell["own"]
                    merged["peak_mib"] += cell["peak_mib"]
        for tool, cell in cells.items():
            yield "| %s | %s | %s | %s MiB |" % (name, tool, spread([100 * v for v in cell["own"]], "%.1f"),
                                              middle(cell["peak_mib"], "%.0f"))


def _storm():
    rows = [(d, d["storm"]["processes listed"]) for d in load_all() if d.get("storm")]
    yield "| occasion | spawned as fast as it goes | threadprof snoop lists | execsnoop lists |"
    yield "|---|---|---|---|"
    for d, seen in rows:
        yield "| %s | %s | %s | %s |" % (_date(d), *(format(seen[k], ",") if k in seen else "-" for k in (
            "spawned", "threadprof snoop", "execsnoop")))


def write_doc(names):
    write_into("bench", _beside(names))
    write_into("own", list(_own(names)))
    write_into("storm", list(_storm()))


# ---- the table of sizes ----------------------------------------------------------------------------

def _scale_row(name, cell, first):
    def times(key):
        least, now = first.get(key), cell.get(key)
        return "%.2f" % (statistics.median(now) / statistics.median(least)) if least and now else "-"

    def each(key, form, unit):
        """What one item more takes."""
        if cell["size"] == first["size"] or not first.get(key) or not cell.get(key):
            return "-"
        more = statistics.median(cell[key]) - statistics.median(first[key])
        return form % (more / unit / (cell["size"] - first["size"]))

    lost = ", ".join("%s %s" % (format(n, ","), cause) for cause, n in cell["lost"].items()) or "0"
    processes = " in %d processes" % cell["pids"] if cell["pids"] > 1 and cell["kind"] != "processes" else ""
    return "| %s%s | %s | %s | %s | %s | %s s | %s s | %s ms | %s | %s MiB | %s |" % (
        name, processes, spread(cell["ratio"]), times("kernel_ns"),
        "yes" if cell["sent"] == cell["counted"] else "no", lost, middle(cell["attach_s"]), middle(cell["end_s"]),
        middle([v / 1e6 for v in cell["report_cpu_ns"]], "%.1f"), each("report_cpu_ns", "%.2f us", 1e3),
        middle([v / 2**20 for v in cell["memory_bytes"]], "%.1f"), each("memory_bytes", "%.0f B", 1))


def _scale():
    """The newest result of each size."""
    cells = {}
    for d in load_all():
        cells.update(d.get("scale", {}))
    yield ("| beside a busy server | its CPU per request, × without | kernel time per request, × smallest | all requests | "
           "lost | attached after | ended after | CPU of a report | of it each | memory | of it each |")
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    first = {}
    for name, cell in cells.items():
        yield _scale_row(name, cell, first.setdefault(cell["kind"].replace("too many", "connections"), cell))


def _snoop():
    cells = {}
    for d in load_all():
        cells.update(d.get("snoop", {}))
    least = next(iter(cells.values()))["cpu_ns"] if cells else 0
    yield "| processes | listed | CPU of snoop for each, × slowest pace | memory |"
    yield "|---|---|---|---|"
    for name, cell in cells.items():
        yield "| %s | %s of %s | %.2f | %.1f MiB |" % (name, format(cell["listed"], ","), format(cell["spawned"], ","),
                                                   cell["cpu_ns"] / least, cell["memory_bytes"] / 2**20)


def write_scale():
    write_into("scale", list(_scale()))
    write_into("snoop", list(_snoop()))


# ---- start, highest rate, hooks --------------------------------------------------------------------

def _start():
    yield "| occasion | | ready after | RSS | peak RSS | kernel maps |"
    yield "|---|---|---|---|---|---|"
    for d in load_all():
        for tool, cell in d.get("own", {}).get("start", {}).items():
            yield "| %s | %s | %s s | %s MiB | %s MiB | %s |" % (
                _date(d), tool, spread(cell["ready_s"]), middle(cell["rss_mib"], "%.1f"),
                middle(cell["peak_mib"], "%.1f"), middle(cell["maps_mib"], "%.1f MiB") if "maps_mib" in cell else "-")


def _rate():
    consumed = []
    yield "| occasion | requests/s | requests that the report has of those sent | lost | threadprof's own CPU |"
    yield "|---|---|---|---|---|"
    for d in load_all():
        part = d.get("own", {}).get("rate", {"runs": []})
        for run in part["runs"]:
            yield "| %s | %s | %s of %s | %d | %.1f %% of one |" % (
                _date(d), format(int(run["per_second"]), ","), format(run["counted"], ","), format(run["sent"], ","),
                run["lost"], 100 * run["own"])
        consumed += [part["consumed_per_second"] / 1e6] if part["runs"] else []
    yield ""
    yield "The reducers take %s million request records per second of one CPU." % spread(consumed, "%.1f")


def write_own():
    write_into("start", list(_start()))
    write_into("rate", list(_rate()))


def write_hooks():
    """The newest figures of each operation."""
    cells = {}
    for d in load_all():
        cells.update(d.get("hooks", {}))
    rows = ["| operation | attached | CPU time per operation, × nothing attached (middle half) | ns added |",
            "|---|---|---|---|"]
    for name, variants in cells.items():
        for variant, (middle_ratio, low, high, added) in variants.items():
            rows.append("| %s | %s | %.3f (%.3f–%.3f) | %+.0f |" % (name, variant, middle_ratio, low, high, added))
    write_into("hooks", rows)
