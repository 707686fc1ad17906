#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Servers that nobody here wrote, under clients that know how much they asked for."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from servers import PIECES_APART_S, HttpClient, RedisClient, nginx, python_server, redis
from tp import test

# ---- traffic: each returns how many requests and connections it made -----------------------------

def closing(kind, port, number, **options):
    for _ in range(number):
        kind(port).ask(close=True, **options)
    return {"requests": number, "connections": number}


def keep_alive(kind, port, connections, requests, **options):
    """Open at the same time, and used in turn: a request on one lies between two of another."""
    clients = [kind(port) for _ in range(connections)]
    for _ in range(requests):
        for client in clients:
            client.ask(**options)
    for client in clients:
        client.close()
    return {"requests": connections * requests, "connections": connections}


def added(*parts):
    return {key: sum(part[key] for part in parts) for key in parts[0]}


# ---- checks --------------------------------------------------------------------------------------

def profile(pids, *options):
    return tp.Threadprof("-p", ",".join(map(str, pids)), "-i", "0.5", *options)


def assert_totals(report, **wanted):
    """requests_count=3 stands for: requests.count of all intervals together is 3."""
    for name, want in wanted.items():
        path = name.replace("_", ".", 1)
        tp.assert_equal(path, report.total(path), want)
    tp.assert_no_loss(report)


def assert_counts(report, sent, still_open=0):
    assert_totals(report, requests_count=sent["requests"], connections_accepted=sent["connections"],
                  connections_closed=sent["connections"] - still_open)
    tp.assert_equal("connections.open", report.last("connections.open"), still_open)
    latency = report.histogram("requests.latency_ns")
    tp.assert_equal("latencies", tp.at(latency, "count"), sent["requests"])
    tp.assert_states_add_up(report)


def check(server, traffic, pids=None, options=()):
    """Profiles the server under the traffic and compares. Returns the report."""
    profiler = profile(pids or server.pids, *options)
    sent = traffic(server.port)
    server.settle()
    report = profiler.stop()
    server.stop()
    assert_counts(report, sent)
    return report


@test("python ThreadingHTTPServer: closing clients")
def python_closing():
    check(python_server(), lambda port: closing(HttpClient, port, 150))


@test("python ThreadingHTTPServer: keep-alive clients")
def python_keep_alive():
    check(python_server(), lambda port: keep_alive(HttpClient, port, 12, 20))


@test("python ThreadingHTTPServer: a body that comes later is part of the same request")
def python_post():
    report = check(python_server(), lambda port: closing(HttpClient, port, 20, body=b"x" * 1000))
    # A server that comes late has less to wait for; not so late, and not often.
    latency = report.histogram("requests.latency_ns")
    slow = sum(number for upper_ns, number in latency["buckets"] if upper_ns >= PIECES_APART_S * 1e9 / 2)
    tp.assert_at_least("requests that took as long as their body", slow, 10)


@test("python ThreadingHTTPServer: each connection's thread has its requests")
def python_threads():
    report = check(python_server(), lambda port: keep_alive(HttpClient, port, 5, 6))
    served = sorted(t["requests"] for t in report.threads().values() if t["requests"])
    tp.assert_equal("requests of each thread that served", served, [6] * 5)


@test("nginx worker: closing clients")
def nginx_closing():
    check(nginx(), lambda port: closing(HttpClient, port, 300))


@test("nginx worker: keep-alive clients")
def nginx_keep_alive():
    check(nginx(), lambda port: keep_alive(HttpClient, port, 20, 50))


@test("nginx worker: files by sendfile, closing and keep-alive")
def nginx_files():
    check(nginx(), lambda port: added(closing(HttpClient, port, 20, path="/file"),
                                      keep_alive(HttpClient, port, 5, 10, path="/file")))


@test("nginx master, -f: several workers")
def nginx_followed():
    # With reuseport the kernel spreads the connections, so that no worker is left without.
    server = nginx(workers=3, listen=" reuseport")
    report = check(server, lambda port: added(closing(HttpClient, port, 150),
                                              keep_alive(HttpClient, port, 30, 10)),
                   pids=[server.process.pid], options=("-f",))
    for pid in server.pids:
        requests = tp.at(report.threads().get(pid), "requests")
        tp.assert_at_least("requests of worker %d" % pid, requests, 1)


@test("redis-server: closing clients")
def redis_closing():
    check(redis(), lambda port: closing(RedisClient, port, 200))


@test("redis-server: keep-alive clients")
def redis_keep_alive():
    check(redis(), lambda port: keep_alive(RedisClient, port, 20, 50))


def check_pool(server, kind):
    """Connections that were open, and used, before threadprof came."""
    pool = [kind(server.port) for _ in range(8)]
    for client in pool:
        client.ask()
    profiler = profile(server.pids)
    for _ in range(5):
        for client in pool:
            client.ask()
    sent = closing(kind, server.port, 10)
    server.settle(still_open=len(pool))
    report = profiler.stop()
    assert_totals(report, requests_count=sent["requests"] + 5 * len(pool),
                  connections_accepted=sent["connections"], connections_closed=sent["connections"])
    tp.assert_equal("connections.open", report.last("connections.open"), len(pool))
    for client in pool:
        client.close()
    server.stop()


@test("a pool that was open before: python")
def pool_python():
    check_pool(python_server(), HttpClient)


@test("a pool that was open before: nginx")
def pool_nginx():
    check_pool(nginx(), HttpClient)


@test("a pool that was open before: redis")
def pool_redis():
    check_pool(redis(), RedisClient)


@test("a pool that was open before and is closed while threadprof watches")
def pool_closed():
    server = nginx()
    pool = [HttpClient(server.port) for _ in range(6)]
    for client in pool:
        client.ask()
    profiler = profile(server.pids)
    for client in pool:
        client.ask()
        client.close()
    server.settle()
    report = profiler.stop()
    server.stop()
    assert_totals(report, requests_count=6, connections_accepted=0, connections_closed=6)
    tp.assert_equal("connections.open", report.last("connections.open"), 0)


@test("many connections at once: nginx")
def many_nginx():
    server = nginx()
    profiler = profile(server.pids)
    clients = [HttpClient(server.port) for _ in range(600)]
    for client in clients + clients:
        client.ask()
    tp.wait_until(lambda: any('"open":600,' in line or '"open":600}' in line for line in profiler.lines()),
                  what="an interval at whose end all of them are open")
    for client in clients:
        client.close()
    server.settle()
    report = profiler.stop()
    server.stop()
    assert_counts(report, {"requests": 1200, "connections": 600})
    tp.assert_equal("most connections open", report.largest("connections.open"), 600)


@test("many connections at once: a python thread for each")
def many_python():
    check(python_server(), lambda port: keep_alive(HttpClient, port, 120, 3))


def check_unfinished(server, kind):
    profiler = profile(server.pids)
    clients = [kind(server.port) for _ in range(10)]
    for client in clients:
        client.ask()
        client.ask()
    # The client may have the answer before the server's system call has ended.
    tp.wait_until(lambda: all(tp.is_asleep(pid) for pid in server.pids), what="a server that has answered")
    report = profiler.stop()
    assert_counts(report, {"requests": 20, "connections": 10}, still_open=10)
    for client in clients:
        client.close()
    server.stop()


@test("connections still open at the end: their last request counts, nginx")
def unfinished_nginx():
    check_unfinished(nginx(), HttpClient)


@test("connections still open at the end: their last request counts, python")
def unfinished_python():
    check_unfinished(python_server(), HttpClient)


@test("a request of an idle keep-alive connection counts in the interval of its answer")
def right_interval():
    server = nginx()
    profiler = profile(server.pids)
    client = HttpClient(server.port)
    asking_ns = time.monotonic_ns()
    client.ask()
    answered_ns = time.monotonic_ns()
    # Two whole intervals without a byte: the request must not wait for what ends it.
    after = len(profiler.lines())
    tp.wait_until(lambda: len(profiler.lines()) >= after + 3, what="three more intervals")
    report = profiler.stop()
    client.close()
    server.stop()
    counts = report.values("requests.count")
    tp.assert_equal("requests in all", sum(c or 0 for c in counts), 1)
    meanwhile = [i for i in report.intervals
                 if i["mono_ns"] >= asking_ns and i["mono_ns"] - i["duration_ns"] <= answered_ns]
    tp.assert_equal("requests while it was asked and answered", sum(i["requests"]["count"] for i in meanwhile), 1)
    tp.assert_equal("requests of the last interval", counts[-1], 0)


@test("a server without a request: intervals come all the same, with zeros")
def silence():
    server = nginx()
    profiler = profile(server.pids)
    tp.wait_until(lambda: sum('"type":"interval"' in line for line in profiler.lines()) >= 3, what="three intervals")
    report = profiler.stop()
    server.stop()
    assert_counts(report, {"requests": 0, "connections": 0})


if __name__ == "__main__":
    tp.main()
