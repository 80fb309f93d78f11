"""Verifications against privacyIDEA in a closed loop, and the CPU that its processes take for each."""

import argparse
import http.client
import json
import os
import threading
import time
import urllib.parse

TICKS = os.sysconf("SC_CLK_TCK")
PIN = "12345678"
SERIAL = "BENCH1"


def children(pid):
    """The process and all below it."""
    found = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            for child in file.read().split():
                found += children(int(child))
    return found


def cpu_seconds(roots):
    """CPU of processes and their children, those that have ended too."""
    total = 0
    for root in roots:
        for pid in children(root):
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            total += sum(int(field) for field in fields[11:15])
    return total / TICKS


class Client:
    def __init__(self, url):
        self.host = urllib.parse.urlsplit(url).netloc
        self.connection = http.client.HTTPConnection(self.host, timeout=60)

    def post(self, path, fields, token=None):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if token:
            headers["Authorization"] = token
        self.connection.request("POST", path, urllib.parse.urlencode(fields), headers)
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:300]!r}")
        return json.loads(body)["result"]["value"]


def until_up(url):
    for _ in range(300):
        try:
            return Client(url).post("/auth", {"username": "admin", "password": "adminpw"})["token"]
        except (ConnectionError, OSError):
            time.sleep(0.2)
    raise SystemExit("the peer does not answer")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--pids", nargs="+", required=True, help="files with pids")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--version", required=True)
    arguments = parser.parse_args()
    token = until_up(arguments.url)
    roots = []
    for file in arguments.pids:
        with open(file) as opened:
            roots.append(int(opened.read()))
    admin = Client(arguments.url)
    # Encrypted instead of hashed with argon2: its faster way, by a factor of ten.
    admin.post("/policy/encrypted", {"scope": "enrollment", "action": "encrypt_pin", "active": "true"}, token)
    admin.post("/token/init", {"type": "spass", "serial": SERIAL, "pin": PIN}, token)
    done, failed, over = [0] * arguments.clients, [], threading.Event()

    def turns(number):
        client = Client(arguments.url)
        while not over.is_set():
            if client.post("/validate/check", {"serial": SERIAL, "pass": PIN}) is not True:
                raise SystemExit("a right PIN was refused")
            done[number] += 1

    def work(number):
        # Whatever ends a thread is dropped by Python: fewer clients would be measured than are told.
        try:
            turns(number)
        except (Exception, SystemExit) as error:
            failed.append(f"client {number}: {error}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(arguments.clients)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    before, counted, start = cpu_seconds(roots), sum(done), time.monotonic()
    time.sleep(arguments.seconds)
    took, more, cpu = time.monotonic() - start, sum(done) - counted, cpu_seconds(roots) - before
    over.set()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit("; ".join(failed))
    if more == 0:
        raise SystemExit("nothing was verified")
    print(json.dumps({
        "peer": arguments.peer,
        "version": arguments.version,
        "per_second": more / took,
        "cpu_us": cpu / more * 1e6,
        "clients": arguments.clients,
        "differs": "no TLS, no HSM; right PINs of one token",
    }))


if __name__ == "__main__":
    main()
