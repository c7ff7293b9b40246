// The answer-submission saga as DBOS has it: a workflow of four steps behind HTTP. Durable are, on
// PostgreSQL: the workflow with its input and result, each step's outcome, and the rows that the steps
// write in commits of their own (a step may run again after a crash; its rows are keyed by the saga).
// `saga.mjs URL PORT`; URL is a superuser's, both databases are made afresh.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { DBOS } from "@dbos-inc/dbos-sdk";
import pg from "pg";

const [url, port] = process.argv.slice(2);
const admin = new pg.Client({ connectionString: url });
await admin.connect();
const name = `dbos_${process.pid}`;
await admin.query(`CREATE DATABASE ${name}`);
await admin.end();
const place = new URL(url);
place.pathname = `/${name}`;
const pool = new pg.Pool({ connectionString: place.href, max: 20 });
await pool.query(`
  CREATE TABLE answers (id UUID PRIMARY KEY, user_id UUID NOT NULL, question_id UUID NOT NULL,
                        status TEXT NOT NULL, at TIMESTAMPTZ NOT NULL);
  CREATE INDEX answers_of_user ON answers (user_id, at);
  CREATE TABLE stats (user_id UUID PRIMARY KEY, answered BIGINT NOT NULL, streak BIGINT NOT NULL);
  CREATE TABLE achievement_ledger (saga_id UUID PRIMARY KEY, outcome TEXT NOT NULL);
  CREATE TABLE achievements (user_id UUID PRIMARY KEY, answers BIGINT NOT NULL);
  CREATE TABLE board_ledger (saga_id UUID PRIMARY KEY, outcome TEXT NOT NULL);
  CREATE TABLE board (user_id UUID PRIMARY KEY, score BIGINT NOT NULL);
  CREATE INDEX board_by_score ON board (score DESC);`);

const RECORD = `
  WITH answer AS (INSERT INTO answers VALUES ($1, $2, $3, 'pending', now())
                  ON CONFLICT DO NOTHING RETURNING user_id)
  INSERT INTO stats SELECT user_id, 1, 1 FROM answer
  ON CONFLICT (user_id) DO UPDATE SET answered = stats.answered + 1, streak = stats.streak + 1`;
const ACHIEVEMENT = `
  WITH ledger AS (INSERT INTO achievement_ledger VALUES ($1, 'done')
                  ON CONFLICT DO NOTHING RETURNING saga_id)
  INSERT INTO achievements SELECT $2::uuid, 1 FROM ledger
  ON CONFLICT (user_id) DO UPDATE SET answers = achievements.answers + 1`;
const BOARD = `
  WITH ledger AS (INSERT INTO board_ledger VALUES ($1, 'done')
                  ON CONFLICT DO NOTHING RETURNING saga_id)
  INSERT INTO board SELECT $2::uuid, 10 FROM ledger
  ON CONFLICT (user_id) DO UPDATE SET score = board.score + 10`;
const DONE = "UPDATE answers SET status = 'completed' WHERE id = $1";
const UNDO = `
  WITH answer AS (UPDATE answers SET status = 'compensated' WHERE id = $1 AND status = 'pending'
                  RETURNING user_id),
       stats AS (UPDATE stats SET answered = answered - 1 WHERE user_id IN (SELECT * FROM answer)),
       achieved AS (DELETE FROM achievement_ledger WHERE saga_id = $1 RETURNING saga_id),
       placed AS (DELETE FROM board_ledger WHERE saga_id = $1 RETURNING saga_id),
       achievements AS (UPDATE achievements SET answers = answers - 1
                         WHERE user_id = $2 AND EXISTS (SELECT FROM achieved))
  UPDATE board SET score = score - 10 WHERE user_id = $2 AND EXISTS (SELECT FROM placed)`;

const step = (name, text, values) =>
  DBOS.runStep(async () => void (await pool.query({ name, text, values })), { name });

async function submission(answer) {
  const { id, userId, questionId } = answer;
  await step("record", RECORD, [id, userId, questionId]);
  try {
    await Promise.all([
      step("achievement", ACHIEVEMENT, [id, userId]),
      step("board", BOARD, [id, userId]),
    ]);
  } catch {
    await step("undo", UNDO, [id, userId]);
    return { id, status: "compensated" };
  }
  await step("done", DONE, [id]);
  return { id, status: "completed" };
}
const submit = DBOS.registerWorkflow(submission, { name: "answer-submission" });
DBOS.setConfig({
  name: "answer-submission",
  systemDatabaseUrl: place.href,
  systemDatabasePoolSize: 20,
  logLevel: "error",
});
await DBOS.launch();

createServer(async (request, response) => {
  try {
    let text = "";
    for await (const chunk of request) text += chunk;
    const outcome = await submit({ ...JSON.parse(text), id: randomUUID() });
    const body = JSON.stringify(outcome);
    response.writeHead(200, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    });
    response.end(body);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}).listen(Number(port), "127.0.0.1");
