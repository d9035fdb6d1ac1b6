"""Load, and what no client should send, with figures: tests/e2e/serve/load_test.py runs a little of it, bench/serve.py all."""
import base64
import concurrent.futures
import random
import socket
import statistics
import struct
import threading
import time

from serve_program import Answer, asset, multipart, png


def request_of(prompt="make the car red", picture="desert-car.png", content=None, **fields):
    kind, body = multipart({"prompt": prompt, **fields}, [("image", picture, content or asset(picture))])
    return body, {"Content-Type": kind}


def soak(server, requests, clients, expected, mark, lora=None):
    """Sends so many edits from so many clients at a time, each of which tries again after a 503. `expected`: the picture for a
    value of `lora`(i). Returns figures: {"wrong", "refused", "seconds", "resident_at_mark", "resident_at_end"}."""
    numbers, lock = iter(range(requests)), threading.Lock()
    found = {"wrong": 0, "refused": 0, "done": 0, "resident_at_mark": 0}

    def client():
        connection = server.connect(timeout=600)
        while True:
            with lock:
                i = next(numbers, None)
            if i is None:
                return connection.close()
            names = {"lora": lora(i)} if lora else {}
            body, headers = request_of(seed=3, steps=1, **names)
            while True:
                connection.request("POST", "/v1/images/edits", body, headers)
                answer = Answer(connection.getresponse())
                if answer.status != 503:
                    break
                with lock:
                    found["refused"] += 1
                time.sleep(0.1 + random.random() * 0.3)
            with lock:
                found["done"] += 1
                if answer.status != 200 or answer.picture() != expected[names.get("lora")]:
                    found["wrong"] += 1
                if found["done"] == mark:
                    found["resident_at_mark"] = server.metric("resident_memory_bytes")

    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        for one in [pool.submit(client) for _ in range(clients)]:
            one.result()
    found["seconds"] = time.monotonic() - begin
    found["resident_at_end"] = server.metric("resident_memory_bytes")
    return found


def edit_times(server, count):
    """Seconds of POSTs, and of the edits in them."""
    posts, edits = [], []
    picture = png(512, 512, lambda x, y: (x // 2, y // 2, (x ^ y) // 2), 2)
    body, headers = request_of(seed=3, content=picture)
    connection = server.connect()
    for _ in range(count):
        before = server.metric("edit_seconds_total")
        begin = time.monotonic()
        connection.request("POST", "/v1/images/edits", body, headers)
        answer = Answer(connection.getresponse())
        posts.append(time.monotonic() - begin)
        assert answer.status == 200, answer.body
        edits.append(server.metric("edit_seconds_total") - before)
    connection.close()
    return posts, edits


def beside_slow_clients(server, connections, count):
    """The median seconds of a POST, alone and beside so many connections that send a byte a second, each from its own address."""
    alone = statistics.median(edit_times(server, count)[0])
    stop = threading.Event()

    def trickle():
        slow = []
        text = b"POST /v1/images/edits HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 4000
        for at in range(len(text)):
            for i in range(connections):
                try:
                    if at == 0:
                        slow.append(socket.create_connection(("127.0.0.1", server.port), 5, (f"127.0.{i // 250}.{2 + i % 250}", 0)))
                    slow[i].send(text[at:at + 1])
                except OSError:  # cut off: comes again
                    slow[i].close()
                    slow[i] = socket.create_connection(("127.0.0.1", server.port), 5, (f"127.0.{i // 250}.{2 + i % 250}", 0))
            if stop.wait(1):
                break
        for one in slow:
            one.close()

    thread = threading.Thread(target=trickle)
    thread.start()
    time.sleep(2)
    open_then = server.metric("http_connections")
    beside = statistics.median(edit_times(server, count)[0])
    stop.set()
    thread.join()
    return {"alone": alone, "beside": beside, "connections": open_then}


def bomb():
    """A PNG that says that it has 60,000 x 60,000 pixels."""
    small = png(1, 1, lambda x, y: (0, 0, 0), 2)
    return small.replace(struct.pack(">II", 1, 1), struct.pack(">II", 60000, 60000)) + bytes(10 ** 6)


def malformed_requests(key):
    """Requests, endlessly, none of which may be answered with a picture. The server has this key."""
    chance = random.Random(1)
    good = f"Authorization: Bearer {key}\r\n"
    kind, body = multipart({"prompt": "x", "steps": 1}, [("image", "a.png", asset("desert-car.png"))])
    head = f"POST /v1/images/edits HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    whole = f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    _, bombed = multipart({"prompt": "x"}, [("image", "a.png", bomb())])
    boundary = kind.split("=")[1]
    deep = b"[" * 5000
    url = base64.b64encode(bomb()).decode()[:-7]
    fixed = [
        (head.encode() + whole),  # no key
        (head + "Authorization: Bearer wrong\r\n").encode() + whole,
        (head + "Cookie: icedit_session=9999999999-aaaa-bbbb\r\n").encode() + whole,
        (head.replace("localhost", "evil.org") + good).encode() + whole,
        (head + good + "Origin: http://evil.org\r\n").encode() + whole,
        (head + good + "Origin: null\r\n").encode() + whole,
        (head + good + "Content-Length: 100000\r\n\r\n").encode() + body[:500],  # a body without its end
        (head + good + "Content-Length: 99999999999\r\n\r\n").encode(),
        (head + good + "Content-Length: -5\r\n\r\n").encode(),
        (head + good + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef").encode(),
        (head + good + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").encode(),
        (head + good + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n").encode(),
        (head + good + f"Content-Length: {len(body) - 20}\r\n\r\n").encode() + body[:-20],
        (head + good + f"Content-Length: {len(bombed)}\r\n\r\n").encode() + bombed.replace(
            bombed.split(b"\r\n", 1)[0], b"--" + boundary.encode()),
        (head.replace(kind, "application/json") + good + f"Content-Length: {len(deep)}\r\n\r\n").encode() + deep,
        (head.replace(kind, "application/json") + good + f"Content-Length: {len(url) + 60}\r\n\r\n").encode() +
        b'{"prompt": "x", "image": "data:image/png;base64,' + url.encode() + b'"}          ',
        (head + good + "X: " + "x" * 100_000 + "\r\n\r\n").encode(),
        f"GET /v1/jobs/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n{good}\r\n".encode(),
        f"GET /examples/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: localhost\r\n{good}\r\n".encode(),
        f"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n{good}\r\n".encode(),
        f"GET /v1/jobs/x/results/-1 HTTP/1.1\r\nHost: localhost\r\n{good}\r\n".encode(),
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00" * 1000,
        b"GET / HTTP/1.1\r\n\r\n",
    ]
    while True:
        yield from fixed
        # And parts of a good one, changed.
        for _ in range(len(fixed)):
            text = bytearray((head + good).encode() + whole)
            for _ in range(chance.randint(1, 5)):
                text[chance.randrange(len(head))] = chance.randrange(256)
            cut = text[:chance.randrange(10, len(head))]
            yield bytes(cut)


def malformed(server, count, key):
    """Sends so many; {"answered", "let_in", "resident_before", "resident_after"}."""
    stream, lock = malformed_requests(key), threading.Lock()
    found = {"answered": 0, "let_in": 0}
    left = iter(range(count))

    def metric():
        text = server.get("/metrics", Authorization=f"Bearer {key}").body.decode()
        return float(text.split("\nicedit_resident_memory_bytes ")[1].split()[0])

    def client():
        while True:
            with lock:
                if next(left, None) is None:
                    return
                text = next(stream)
            with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
                try:
                    connection.sendall(text)
                    connection.shutdown(socket.SHUT_WR)
                    answer = connection.recv(4096)
                except OSError:
                    answer = b""
            with lock:
                found["answered"] += bool(answer)
                found["let_in"] += answer[9:10] in (b"2", b"3")

    found["resident_before"] = metric()
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        for one in [pool.submit(client) for _ in range(32)]:
            one.result()
    time.sleep(1)
    found["resident_after"] = metric()
    return found
