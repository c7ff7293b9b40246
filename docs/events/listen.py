"""A service in another language: reads events from NATS and holds them against their schemas.

    pip install nats-py jsonschema-rs
    python docs/events/listen.py nats://localhost:4222 my-service answer.submitted

The name stands for the reader: what came while it was away is read when it comes back, for as long
as the stream keeps it. `--count N` ends after N events. An event that does not fit its schema ends
the program with 1 and is not acknowledged: it comes again, to a reader that is mended.
"""

import argparse
import asyncio
import json
import pathlib
import sys

import nats
from jsonschema_rs import Draft202012Validator

STREAM = "BANYAN_EVENTS"
SCHEMAS = pathlib.Path(__file__).parent / "schemas"


def faults(event, known={}):
    """What of the event is not as the schemas say."""
    shape = f"{event['type']}.v{event['schemaVersion']}"
    for name, instance in (("envelope.v1", event), (shape, event["payload"])):
        if name not in known:
            schema = json.loads((SCHEMAS / f"{name}.json").read_text())
            known[name] = Draft202012Validator(schema, validate_formats=True)
        for error in known[name].iter_errors(instance):
            yield f"{name}: {error.message}"


async def listen(url, name, event_type, count):
    client = await nats.connect(url)
    stream = client.jetstream()
    # A durable consumer: the server remembers what this name has acknowledged.
    subject = f"banyan.events.{event_type}"
    reader = await stream.pull_subscribe(subject, durable=name, stream=STREAM)
    last, handled = {}, 0
    while count is None or handled < count:
        try:
            messages = await reader.fetch(10, timeout=5)
        except nats.errors.TimeoutError:
            continue
        for message in messages:
            # A repeat, or a straggler that was published again: the place in the log tells.
            epoch = message.headers["Banyan-Epoch"]
            position = int(message.headers["Banyan-Position"])
            if position <= last.get(epoch, 0):
                await message.ack()
                continue
            event = json.loads(message.data)
            found = list(faults(event))
            if found:
                print(f"{position} {event['type']} does not fit: {'; '.join(found)}", flush=True)
                return 1
            # What a service does goes here, together with the position, in one transaction.
            print(f"{position} {event['type']} {json.dumps(event['payload'])}", flush=True)
            last[epoch] = position
            await message.ack()
            handled += 1
            if handled == count:
                break
    await client.close()
    return 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Reads events from NATS.")
    arguments.add_argument("url")
    arguments.add_argument("name")
    arguments.add_argument("event_type")
    arguments.add_argument("--count", type=int)
    given = arguments.parse_args()
    work = listen(given.url, given.name, given.event_type, given.count)
    sys.exit(asyncio.run(work))
