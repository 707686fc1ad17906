# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""The tables of docs/overhead.md, from the results of all occasions."""
import os
import statistics

import occasions
from workloads import ROOT

DOC = os.path.join(ROOT, "docs", "overhead.md")
SHOWN = 3  # occasions; bench/results has them all


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


def _shown(names):
    """The latest occasions on which all workloads were measured."""
    return [d for d in occasions.load_all() if set(names) <= set(d.get("workloads", {}))][-SHOWN:]


def _rows_of(names, cell_of, columns):
    """One row for each workload and tool that an occasion has; cell_of(occasion's cell, column)."""
    data = _shown(names)
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


def _own(names, tools):
    """What the tools take themselves, over these occasions."""
    data = _shown(names)

    def all_of(name, tool, key):
        return [value for d in data for value in d["workloads"][name].get(tool, {}).get(key, [])]

    yield "| | " + " | ".join(tools) + " |"
    yield "|---|" + "---|" * len(tools)
    for name in names:
        shares = [[100 * value for value in all_of(name, tool, "own")] for tool in tools]
        if any(shares):
            yield "| %s | %s |" % (name, " | ".join(middle(s, "%.1f %%") for s in shares))
    peaks = [[value for name in names for value in all_of(name, tool, "peak_mib")] for tool in tools]
    yield "| peak RSS | %s |" % " | ".join("%.0f MiB" % max(p) if p else "-" for p in peaks)


def _storm(names):
    rows = [(d, d["storm"]["processes listed"]) for d in _shown(names) if d.get("storm")]
    yield "| occasion | spawned as fast as it goes | threadprof snoop lists | execsnoop lists |"
    yield "|---|---|---|---|"
    for d, seen in rows:
        yield "| %s | %s | %s | %s |" % (_date(d), *(format(seen[k], ",") if k in seen else "-" for k in (
            "spawned", "threadprof snoop", "execsnoop")))


def write_doc(names, tools):
    write_into("bench", _beside(names))
    write_into("own", list(_own(names, tools)))
    write_into("storm", list(_storm(names)))


# ---- the table of sizes ----------------------------------------------------------------------------

def _each(cell, first, key, form, unit):
    """What one item more takes than in the smallest size."""
    if cell["size"] == first["size"] or not first[key] or not cell[key]:
        return "-"
    more = statistics.median(cell[key]) - statistics.median(first[key])
    return form % (more / unit / (cell["size"] - first["size"]))


def _scale_row(name, cell, first):
    lost = ", ".join("%s `%s`" % (format(n, ","), cause) for cause, n in cell["lost"].items()) or "0"
    processes = " in %d processes" % cell["pids"] if cell["pids"] > 1 and cell["kind"] != "processes" else ""
    events = " + ".join("%.0f" % ns for ns in cell.get("event_ns", {}).values()) or "-"
    return "| %s%s | %s | %s | %s | %s | %s s | %s s | %s ms | %s | %s MiB | %s |" % (
        name, processes, spread(cell["ratio"]), events,
        "yes" if cell["sent"] == cell["counted"] else "no", lost, middle(cell["attach_s"]), middle(cell["end_s"]),
        middle([v / 1e6 for v in cell["report_cpu_ns"]], "%.1f"), _each(cell, first, "report_cpu_ns", "%.2f us", 1e3),
        middle([v / 2**20 for v in cell["memory_bytes"]], "%.1f"), _each(cell, first, "memory_bytes", "%.0f B", 1))


def _scale():
    """The newest result of each size."""
    cells = {}
    for d in occasions.load_all():
        cells.update(d.get("scale", {}))
    yield ("| beside a busy server | its CPU per request, × without threadprof | a call's end + a switch, ns | all requests | "
           "lost | attached after | ended after | CPU of a report | for each | memory | for each |")
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    first = {}
    for name, cell in cells.items():
        kind = cell["kind"].replace("too many", "connections")
        yield _scale_row(name, cell, first.setdefault(kind, cell))


def _snoop():
    cells = {}
    for d in occasions.load_all():
        cells.update(d.get("snoop", {}))
    least = next(iter(cells.values()))["cpu_ns"] if cells else 0
    yield "| processes | listed | CPU of snoop for each, × slowest pace | memory |"
    yield "|---|---|---|---|"
    for name, cell in cells.items():
        yield "| %s | %s of %s | %.2f | %.1f MiB |" % (
            name, format(cell["listed"], ","), format(cell["spawned"], ","), cell["cpu_ns"] / least,
            cell["memory_bytes"] / 2**20)


def write_scale():
    write_into("scale", list(_scale()))
    write_into("snoop", list(_snoop()))


# ---- start, highest rate, hooks --------------------------------------------------------------------

def _start():
    yield "| occasion | | ready after | RSS | peak RSS | kernel maps |"
    yield "|---|---|---|---|---|---|"
    for d in [d for d in occasions.load_all() if d.get("own", {}).get("start")][-SHOWN:]:
        for tool, cell in d["own"]["start"].items():
            yield "| %s | %s | %s s | %s MiB | %s MiB | %s |" % (
                _date(d), tool, spread(cell["ready_s"]), middle(cell["rss_mib"], "%.1f"),
                middle(cell["peak_mib"], "%.1f"), middle(cell["maps_mib"], "%.1f MiB") if "maps_mib" in cell else "-")


def _memory():
    """The newest figures of each target."""
    cells = {}
    for d in occasions.load_all():
        cells.update(d.get("own", {}).get("memory", {}))
    yield "| the target's threads wait for | call sites | RSS | peak RSS | with the process that switches statistics |"
    yield "|---|---|---|---|---|"
    for name, cell in cells.items():
        yield "| %s | %d | %s MiB | %s MiB | %s MiB |" % (name, cell["sites"], *(
            middle(cell[key], "%.1f") for key in ("rss_mib", "peak_mib", "all_mib")))


def _rate():
    consumed = []
    yield "| occasion | requests/s | requests that the report has of those sent | lost | threadprof's own CPU |"
    yield "|---|---|---|---|---|"
    for d in [d for d in occasions.load_all() if d.get("own", {}).get("rate")][-SHOWN:]:
        part = d["own"]["rate"]
        for run in part["runs"]:
            yield "| %s | %s | %s of %s | %d | %.1f %% of one |" % (
                _date(d), format(int(run["per_second"]), ","), format(run["counted"], ","), format(run["sent"], ","),
                run["lost"], 100 * run["own"])
        consumed.append(part["consumed_per_second"] / 1e6)
    yield ""
    yield "The reducers take %s million request records per second of one CPU." % spread(consumed, "%.1f")


def write_own():
    write_into("start", list(_start()))
    write_into("memory", list(_memory()))
    write_into("rate", list(_rate()))


def write_hooks():
    """The newest figures of each operation, without empty programs that can't be told from nothing: none comes by."""
    cells = {}
    for d in occasions.load_all():
        cells.update(d.get("hooks", {}))
    rows = ["| operation | attached | CPU time per operation, × nothing attached (middle half) | ns added |",
            "|---|---|---|---|"]
    for name, variants in cells.items():
        for variant, (middle_ratio, low, high, added) in variants.items():
            if "threadprof" in variant or low > 1:
                rows.append("| %s | %s | %.3f (%.3f–%.3f) | %+.0f |" % (name, variant, middle_ratio, low, high, added))
    write_into("hooks", rows)
