# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Servers that nobody here wrote, and clients for them."""
import os
import shutil
import socket
import subprocess
import sys
import time

import tp

PYTHON_SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"hello %d\\n" % sum(i * i for i in range(int(sys.argv[2])))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *args):
        pass

# The default backlog of 5 would make clients that come at once wait for a second SYN.
ThreadingHTTPServer.request_queue_size = 256
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

NGINX_CONFIG = """
worker_processes {workers};
daemon off;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    sendfile on;
    keepalive_timeout 60s;
    keepalive_requests 1000000;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024{listen};
        location / {{ {answer} }}
        location /last {{ return 200 "last"; }}
        location /file {{ root {dir}; }}
    }}
}}
"""


# ---- servers -------------------------------------------------------------------------------------

class Server:
    """A running server: its port, the pids that serve, and their number of sockets when idle."""

    def __init__(self, argv, port):
        self.port = port
        self.log = open(os.path.join(tp.temp_dir(), "log"), "wb")
        self.process = tp.start_process(argv, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        tp.wait_for_port(port)
        self.pids = self.serving_pids()
        tp.wait_until(self.is_idle, what="a server that waits for clients")
        self.idle_sockets = self.sockets()

    def serving_pids(self):
        return [self.process.pid]

    def is_idle(self):
        """It waits, and still does a moment later: a master and its workers have nothing to tell each other."""
        for _ in range(3):
            if not all(tp.is_asleep(pid) for pid in [self.process.pid] + self.pids):
                return False
            time.sleep(0.02)
        return True

    def sockets(self):
        return sum(tp.sockets_of(pid) for pid in self.pids)

    def settle(self, still_open=0):
        tp.wait_until(lambda: self.sockets() == self.idle_sockets + still_open,
                      what="the server's end of its connections")

    def stop(self):
        tp.stop_process(self.process)
        self.log.close()


class Nginx(Server):
    def __init__(self, argv, port, workers):
        self.workers = workers
        super().__init__(argv, port)

    def serving_pids(self):
        def workers():
            pids = tp.children(self.process.pid)
            return pids if len(pids) == self.workers else None
        return tp.wait_until(workers, what="workers of nginx")


def python_server(squares=0):
    """squares: how many each handler computes, with the interpreter locked."""
    port = tp.free_port()
    return Server([sys.executable, "-c", PYTHON_SERVER, port, squares], port)


def find_program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
    if not path:
        tp.skip("%s is not installed" % name)
    return path


def nginx(workers=1, listen="", upstream=None):
    """upstream: the local port of a server that it asks for each request."""
    answer = 'return 200 "hello\\n";'
    if upstream:
        answer = "proxy_pass http://127.0.0.1:%d;" % upstream
    program, port, directory = find_program("nginx"), tp.free_port(), tp.temp_dir()
    with open(os.path.join(directory, "nginx.conf"), "w") as out:
        out.write(NGINX_CONFIG.format(dir=directory, port=port, workers=workers, listen=listen, answer=answer))
    with open(os.path.join(directory, "file"), "wb") as data:
        data.write(b"x" * 300000)
    config, error_log = os.path.join(directory, "nginx.conf"), os.path.join(directory, "error.log")
    return Nginx([program, "-p", directory, "-c", config, "-e", error_log], port, workers)


def redis():
    program, port = find_program("redis-server"), tp.free_port()
    return Server([program, "--port", port, "--bind", "127.0.0.1", "--dir", tp.temp_dir(),
                   "--save", "", "--appendonly", "no"], port)


def java(*options):
    compiler, program, port = find_program("javac"), find_program("java"), tp.free_port()
    directory = tp.temp_dir()
    source = os.path.join(tp.ROOT, "tests", "workload", "Server.java")
    subprocess.run([compiler, "-d", directory, source], check=True, timeout=40)
    return Server([program, "-XX:+UseSerialGC", "-Xmx64m", *options, "-cp", directory, "Server", port], port)


# ---- clients -------------------------------------------------------------------------------------

# Between two pieces of a request: long beside what a server takes to come, on a loaded machine too.
PIECES_APART_S = 0.03


class Client:
    """One connection. ask() sends one request in one or more pieces and reads the whole answer."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), tp.PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def fill(self):
        data = self.socket.recv(65536)
        if not data:
            tp.fail("the server closed a connection that was waiting for its answer")
        self.buffer += data

    def take_until(self, mark):
        while mark not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(mark, 1)
        return head

    def take(self, size):
        while len(self.buffer) < size:
            self.fill()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def send(self, pieces):
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(PIECES_APART_S)
            self.socket.sendall(piece)

    def close(self):
        self.socket.close()

    def await_end(self):
        while self.socket.recv(65536):
            pass
        self.close()


class HttpClient(Client):
    def ask(self, path="/", close=False, body=None):
        lines = ["%s %s HTTP/1.1" % ("GET" if body is None else "POST", path), "Host: localhost"]
        if close:
            lines.append("Connection: close")
        if body is not None:
            lines.append("Content-Length: %d" % len(body))
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self.send([head] if body is None else [head, body])
        self.read_answer()
        if close:
            self.await_end()

    def read_answer(self):
        head = self.take_until(b"\r\n\r\n").decode().lower().split("\r\n")
        if " 200 " not in head[0]:
            tp.fail("the server answered %r" % head[0])
        length = [line.split(":")[1] for line in head if line.startswith("content-length:")]
        self.take(int(length[0]))


class RedisClient(Client):
    def ask(self, close=False):
        self.send([b"*1\r\n$4\r\nPING\r\n"])
        if self.take_until(b"\r\n") != b"+PONG":
            tp.fail("redis did not answer PONG")
        if close:
            self.close()
