"""An mTLS peer in another language: reads a mounted X.509-SVID as a workload should and checks SPIFFE IDs.

peer.py serve DIRECTORY ALLOWED-PREFIX            prints the port, then one JSON line of counts a second
peer.py connect DIRECTORY PORT EXPECTED-SPIFFE-ID  connects anew again and again, prints counts a second
"""

import json
import os
import socket
import ssl
import sys
import threading
import time

counts = {"ok": 0, "failed": 0, "errors": []}
lock = threading.Lock()


def count(error=None):
    with lock:
        if error is None:
            counts["ok"] += 1
        else:
            counts["failed"] += 1
            counts["errors"] = (counts["errors"] + [repr(error)])[-5:]


def context(directory, side):
    """Resolves ..data once and takes all three files from there; a pair that does not fit is refused by OpenSSL."""
    for attempt in range(5):
        data = os.path.join(directory, os.readlink(os.path.join(directory, "..data")))
        try:
            made = ssl.SSLContext(side)
            made.minimum_version = ssl.TLSVersion.TLSv1_2
            made.check_hostname = False
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_cert_chain(os.path.join(data, "tls.crt"), os.path.join(data, "tls.key"))
            made.load_verify_locations(os.path.join(data, "ca.crt"))
            return made
        except FileNotFoundError:
            if attempt == 4:
                raise


def peer_id(connection):
    uris = [value for kind, value in connection.getpeercert()["subjectAltName"] if kind == "URI"]
    if len(uris) != 1:
        raise ValueError("expected one URI SAN, met %s" % uris)
    return uris[0]


def hang_up(connection):
    """Says good-bye; whether the peer still listens does not matter any more."""
    try:
        connection.unwrap()
    except OSError:
        pass


def answer(raw, directory, allowed):
    try:
        with context(directory, ssl.PROTOCOL_TLS_SERVER).wrap_socket(raw, server_side=True) as connection:
            who = peer_id(connection)
            if not who.startswith(allowed):
                raise ValueError("refused %s" % who)
            connection.sendall(b"hello")
            hang_up(connection)
        count()
    except Exception as error:
        count(error)


def serve(directory, allowed):
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    while True:
        raw, _ = listener.accept()
        raw.settimeout(10)
        threading.Thread(target=answer, args=(raw, directory, allowed), daemon=True).start()


def connect(directory, port, expected):
    while True:
        try:
            with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as raw:
                with context(directory, ssl.PROTOCOL_TLS_CLIENT).wrap_socket(raw) as connection:
                    who = peer_id(connection)
                    if who != expected:
                        raise ValueError("expected %s, met %s" % (expected, who))
                    if connection.recv(5) != b"hello":
                        raise ValueError("no answer")
                    hang_up(connection)
            count()
        except Exception as error:
            count(error)


def report():
    while True:
        time.sleep(0.5)
        with lock:
            print(json.dumps(counts), flush=True)


threading.Thread(target=report, daemon=True).start()
if sys.argv[1] == "serve":
    serve(*sys.argv[2:4])
else:
    connect(*sys.argv[2:5])
