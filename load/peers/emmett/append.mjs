// Appends to Emmett's event store on PostgreSQL: `append.mjs URL CALLERS BATCH SECONDS` prints
// `{"rate": …, "p50": …, "p99": …}`, events a second and milliseconds. URL is a superuser's; the store
// lies in a database of its own, dropped at the end.
import { randomUUID } from "node:crypto";
import { getPostgreSQLEventStore } from "@event-driven-io/emmett-postgresql";
import pg from "pg";

const [url, callers, batch, seconds] = process.argv.slice(2);
const WARM_UP = 1_000;
/// Events in one stream, by one caller, before it takes the next.
const IN_A_STREAM = 100;

const admin = new pg.Client({ connectionString: url });
await admin.connect();
const name = `emmett_${process.pid}`;
await admin.query(`CREATE DATABASE ${name}`);
const place = new URL(url);
place.pathname = `/${name}`;
const pool = new pg.Pool({ connectionString: place.href, max: Number(callers) });
// Its connections are cut at the end, when the database goes.
pool.on("error", () => {});
const store = getPostgreSQLEventStore(place.href, { connectionOptions: { pooled: true, pool } });
await store.schema.migrate();

const happened = (number) => ({
  type: "measured.happened",
  data: {
    userId: "0190a7c4-3f51-7a01-8c1e-5f0f4ad1b201",
    questionId: "0190a7c4-3f51-7a01-8c1e-5f0f4ad1b202",
    quizMode: "classic",
    number,
    isCorrect: true,
    text:
      "Which of these rivers is the longest one? One of those four that are named below, " +
      "and no other one; whoever does not know may guess, and learn.",
  },
  metadata: { correlationId: randomUUID() },
});

const begin = performance.now() + WARM_UP;
const end = begin + Number(seconds) * 1_000;
const times = [];
async function call() {
  let stream;
  let version = IN_A_STREAM;
  for (;;) {
    const began = performance.now();
    if (began >= end) return;
    if (version >= IN_A_STREAM) {
      stream = `measured-${randomUUID()}`;
      version = 0;
    }
    const events = Array.from({ length: Number(batch) }, (_, place) => happened(version + place));
    await store.appendToStream(stream, events, {
      expectedStreamVersion: version === 0 ? "STREAM_DOES_NOT_EXIST" : BigInt(version),
    });
    version += events.length;
    const ended = performance.now();
    if (ended >= begin && ended < end) times.push(ended - began);
  }
}
await Promise.all(Array.from({ length: Number(callers) }, call));
times.sort((a, b) => a - b);
const at = (part) => times[Math.floor((times.length - 1) * part)];
const rate = (times.length * Number(batch)) / Number(seconds);
console.log(JSON.stringify({ rate, p50: at(0.5), p99: at(0.99) }));

await store.close();
if (!pool.ending) await pool.end();
await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
await admin.end();
