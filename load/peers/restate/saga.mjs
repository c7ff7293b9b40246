// The answer-submission saga as Restate has it: a virtual object for each user's answers, and one for
// each participant. Durable are: the request, each call to a participant and its answer, and all state,
// in the server's own log and store (fsync on, its default). `saga.mjs PORT` serves it.
import "./older_node.mjs";
import * as restate from "@restatedev/restate-sdk";

const [port] = process.argv.slice(2);

const achievements = restate.object({
  name: "Achievements",
  handlers: {
    check: async (ctx, answer) => {
      const earned = (await ctx.get("earned")) ?? { answers: 0 };
      ctx.set("earned", { answers: earned.answers + 1, last: answer.id });
      return { outcome: "done" };
    },
    undo: async (ctx, answer) => {
      const earned = await ctx.get("earned");
      if (earned?.last === answer.id) ctx.set("earned", { answers: earned.answers - 1 });
    },
  },
});

const board = restate.object({
  name: "Board",
  handlers: {
    update: async (ctx, answer) => {
      const entry = (await ctx.get("entry")) ?? { score: 0 };
      ctx.set("entry", { score: entry.score + 10, last: answer.id });
      return { outcome: "done" };
    },
    undo: async (ctx, answer) => {
      const entry = await ctx.get("entry");
      if (entry?.last === answer.id) ctx.set("entry", { score: entry.score - 10 });
    },
  },
});

const answers = restate.object({
  name: "Answers",
  handlers: {
    submit: async (ctx, body) => {
      const id = ctx.rand.uuidv4();
      const answer = { ...body, id };
      const before = (await ctx.get("stats")) ?? { answered: 0, streak: 0 };
      ctx.set("stats", { answered: before.answered + 1, streak: before.streak + 1 });
      ctx.set("answer", { ...answer, status: "pending" });
      const [achieved, placed] = await restate.RestatePromise.all([
        ctx.objectClient(achievements, body.userId).check(answer),
        ctx.objectClient(board, body.userId).update(answer),
      ]);
      if (achieved.outcome !== "done" || placed.outcome !== "done") {
        ctx.set("stats", before);
        await ctx.objectClient(achievements, body.userId).undo(answer);
        await ctx.objectClient(board, body.userId).undo(answer);
        ctx.set("answer", { ...answer, status: "compensated" });
        return { id, status: "compensated" };
      }
      ctx.set("answer", { ...answer, status: "completed" });
      return { id, status: "completed" };
    },
  },
});

await restate.serve({ services: [achievements, board, answers], port: Number(port) });
