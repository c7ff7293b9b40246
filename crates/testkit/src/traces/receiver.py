"""An OTLP receiver: takes traces over HTTP as protobuf, and prints each span as one line of JSON.

What arrives is read by OpenTelemetry's own protobuf types, which share no code with the exporter
under test; a body that they cannot read is answered 400 and printed as a fault.
"""

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


def value(any_value):
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(item) for item in any_value.array_value.values]
    return None if kind is None else getattr(any_value, kind)


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def spans(request):
    for of_resource in request.resource_spans:
        resource = attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield {
                    "service": resource.get("service.name"),
                    "resource": resource,
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                    "attributes": attributes(span.attributes),
                    "links": [
                        {"trace": link.trace_id.hex(), "span": link.span_id.hex()}
                        for link in span.links
                    ],
                    "status": Status.StatusCode.Name(span.status.code).removeprefix(
                        "STATUS_CODE_"
                    ),
                    "message": span.status.message,
                }


def say(lines):
    """At once: requests are answered by threads, whose lines must not mix."""
    sys.stdout.write(lines)
    sys.stdout.flush()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        status, answer = 200, ExportTraceServiceResponse().SerializeToString()
        try:
            if self.path != "/v1/traces":
                raise DecodeError(f"no such path: {self.path}")
            if self.headers["content-type"] != "application/x-protobuf":
                raise DecodeError(f"not protobuf: {self.headers['content-type']}")
            lines = [json.dumps(span) for span in spans(ExportTraceServiceRequest.FromString(body))]
            say("".join(f"{line}\n" for line in lines))
        except DecodeError as error:
            status, answer = 400, b""
            say(json.dumps({"fault": str(error)}) + "\n")
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    print(f"listening on {server.server_address[1]}", flush=True)
    server.serve_forever()
