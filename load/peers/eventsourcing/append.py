"""Appends with eventsourcing's recorders: `append.py postgres|sqlite URL CALLERS BATCH SECONDS` prints
`{"rate": …, "p50": …, "p99": …}`, events a second and milliseconds. URL is a superuser's, and unused
for SQLite; what is written lies in a database or file of its own, gone at the end."""

import json
import os
import sys
import tempfile
import threading
import time
from urllib.parse import urlsplit
from uuid import uuid4

from eventsourcing.persistence import StoredEvent

WARM_UP = 1.0
# Events in one stream, by one caller, before it takes the next.
IN_A_STREAM = 100


def state(number):
    return json.dumps(
        {
            "userId": "0190a7c4-3f51-7a01-8c1e-5f0f4ad1b201",
            "questionId": "0190a7c4-3f51-7a01-8c1e-5f0f4ad1b202",
            "quizMode": "classic",
            "number": number,
            "isCorrect": True,
            "text": "Which of these rivers is the longest one? One of those four that are named "
            "below, and no other one; whoever does not know may guess, and learn.",
        }
    ).encode()


def call(recorder, batch, begin, end, times):
    version = IN_A_STREAM
    stream = None
    while (began := time.perf_counter()) < end:
        if version >= IN_A_STREAM:
            stream, version = uuid4(), 0
        events = [
            StoredEvent(stream, version + place + 1, "measured:Happened", state(version))
            for place in range(batch)
        ]
        recorder.insert_events(events)
        version += batch
        ended = time.perf_counter()
        if begin <= ended < end:
            times.append(ended - began)


def measure(recorder, callers, batch, seconds):
    recorder.create_table()
    begin = time.perf_counter() + WARM_UP
    times = [[] for _ in range(callers)]
    threads = [
        threading.Thread(target=call, args=(recorder, batch, begin, begin + seconds, its))
        for its in times
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    all_times = sorted(one for its in times for one in its)
    at = lambda part: all_times[int((len(all_times) - 1) * part)] * 1e3
    rate = len(all_times) * batch / seconds
    print(json.dumps({"rate": rate, "p50": at(0.5), "p99": at(0.99)}))


def on_postgres(url, *load):
    import psycopg
    from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

    parts = urlsplit(url)
    name = f"eventsourcing_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            with PostgresDatastore(
                name,
                parts.hostname,
                parts.port,
                parts.username,
                parts.password or "",
                pool_size=load[0],
                max_waiting=load[0],
            ) as datastore:
                measure(PostgresApplicationRecorder(datastore), *load)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def on_sqlite(*load):
    from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

    # A file's default is synchronous=FULL, and the library leaves it so.
    with tempfile.TemporaryDirectory() as folder:
        datastore = SQLiteDatastore(os.path.join(folder, "events.db"))
        measure(SQLiteApplicationRecorder(datastore), *load)


place, url, callers, batch, seconds = sys.argv[1:]
load = (int(callers), int(batch), int(seconds))
if place == "postgres":
    on_postgres(url, *load)
else:
    on_sqlite(*load)
