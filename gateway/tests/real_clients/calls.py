"""A gRPC server and a client that calls all that it offers, both by gRPC's own library.

calls.py serve                     prints "listening on PORT"
calls.py call ADDRESS [AUTHORITY]  exits with 0 when every call went as it has to
"""

import sys
import threading
from concurrent import futures

import grpc

SERVICE = "banyan.test.Echo"
REFUSAL = "not now: 100 % \u2014 later"


def unary(request, context):
    asked = dict(context.invocation_metadata())
    context.send_initial_metadata([("x-heard", asked.get("x-said", "nothing"))])
    context.set_trailing_metadata([("x-length", str(len(request))), ("x-raw-bin", bytes(range(256)))])
    return request[::-1]


def split(request, _context):
    for byte in request:
        yield bytes([byte])


def join(requests, _context):
    return b"".join(requests)


def talk(requests, _context):
    for request in requests:
        yield request.upper()


def refuse(_request, context):
    context.set_trailing_metadata([("x-why", "closed")])
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, REFUSAL)


def break_off(_request, context):
    yield b"first"
    context.abort(grpc.StatusCode.DATA_LOSS, "the rest is lost")


def wait(_request, context):
    """Says whether the client waits a short time only, and then nothing until the call is over."""
    over = threading.Event()

    def end():
        over.set()
        ENDED.release()

    # Before anything is said, so that the call cannot be over yet.
    context.add_callback(end)
    left = context.time_remaining()
    yield str(left is not None and left < 10).encode()
    over.wait()


def ended(_request, _context):
    """Waits until a call of `wait` has ended here, too."""
    return b"yes" if ENDED.acquire(timeout=30) else b"no"


ENDED = threading.Semaphore(0)


def serve():
    kinds = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Split": grpc.unary_stream_rpc_method_handler(split),
        "Join": grpc.stream_unary_rpc_method_handler(join),
        "Talk": grpc.stream_stream_rpc_method_handler(talk),
        "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
        "BreakOff": grpc.unary_stream_rpc_method_handler(break_off),
        "Wait": grpc.unary_stream_rpc_method_handler(wait),
        "Ended": grpc.unary_unary_rpc_method_handler(ended),
    }
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, kinds),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print("listening on", port)
    server.wait_for_termination()


def is_equal(got, wanted):
    if got != wanted:
        raise AssertionError(f"{got!r} is not {wanted!r}")


def failure(calling):
    try:
        calling()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")


def call(address, authority):
    if authority is None:
        channel = grpc.insecure_channel(address)
    else:
        with open(authority, "rb") as file:
            channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(file.read()))
    path = lambda name: f"/{SERVICE}/{name}"
    with channel:
        one = channel.unary_unary(path("Unary"))
        answer, outcome = one.with_call(b"abc", timeout=30, metadata=[("x-said", "hello")])
        is_equal(answer, b"cba")
        is_equal(dict(outcome.initial_metadata()).get("x-heard"), "hello")
        trailers = dict(outcome.trailing_metadata())
        is_equal((trailers.get("x-length"), trailers.get("x-raw-bin")), ("3", bytes(range(256))))
        large = bytes(3_000_000)
        is_equal(one(large, timeout=30), large)
        is_equal(one(b"", timeout=30), b"")

        parts = list(channel.unary_stream(path("Split"))(b"abc" * 100, timeout=30))
        is_equal(parts, [b"a", b"b", b"c"] * 100)
        pieces = (bytes([number % 256]) * 1000 for number in range(300))
        joined = channel.stream_unary(path("Join"))(pieces, timeout=30)
        is_equal(len(joined), 300_000)

        # Each word is said when the one before was answered: nothing may be held back on the way.
        answered = threading.Semaphore(1)

        def words():
            for word in [b"one", b"two", b"three"]:
                answered.acquire()
                yield word

        heard = []
        for answer in channel.stream_stream(path("Talk"))(words(), timeout=30):
            heard.append(answer)
            answered.release()
        is_equal(heard, [b"ONE", b"TWO", b"THREE"])

        error = failure(lambda: channel.unary_unary(path("Refuse"))(b"", timeout=30))
        is_equal((error.code(), error.details()), (grpc.StatusCode.FAILED_PRECONDITION, REFUSAL))
        is_equal(dict(error.trailing_metadata()).get("x-why"), "closed")
        broken = channel.unary_stream(path("BreakOff"))(b"", timeout=30)
        is_equal(next(broken), b"first")
        is_equal(failure(lambda: next(broken)).code(), grpc.StatusCode.DATA_LOSS)
        error = failure(lambda: channel.unary_unary(path("Nothing"))(b"", timeout=30))
        is_equal(error.code(), grpc.StatusCode.UNIMPLEMENTED)

        ended = channel.unary_unary(path("Ended"))
        waiting = channel.unary_stream(path("Wait"))(b"", timeout=2)
        is_equal(next(waiting), b"True")
        is_equal(failure(lambda: next(waiting)).code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        is_equal(ended(b"", timeout=60), b"yes")
        waiting = channel.unary_stream(path("Wait"))(b"")
        is_equal(next(waiting), b"False")
        waiting.cancel()
        is_equal(ended(b"", timeout=60), b"yes")


if sys.argv[1] == "serve":
    serve()
else:
    call(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
