// The console over the admin API. Everything that comes from the API goes into the page as text,
// never as markup.
"use strict";

const REFRESH_MS = 2000;
const $ = (id) => document.getElementById(id);
const store = {
  get token() { return sessionStorage.getItem("banyan-token") || ""; },
  set token(value) { sessionStorage.setItem("banyan-token", value); },
};
const cards = new Map();

function element(name, properties, ...children) {
  const node = Object.assign(document.createElement(name), properties || {});
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

async function api(method, path, body) {
  const headers = { Accept: "application/json" };
  if (store.token) headers.Authorization = "Bearer " + store.token;
  const actor = $("actor").value.trim();
  if (actor && /^[\x20-\x7e]+$/.test(actor)) headers["X-Banyan-Actor"] = actor;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch("admin/" + path, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json().catch(() => ({}));
  if (response.status === 401) { showLogin(); throw new Error("a token is needed"); }
  if (!response.ok) throw new Error(answer.detail || "HTTP " + response.status);
  return answer;
}

const flagPath = (id, verb) => "flags/" + encodeURIComponent(id) + (verb ? "/" + verb : "");

function card(flag) {
  const phase = element("span", {});
  const meta = element("p", { className: "meta" });
  const bar = element("progress", { max: 100 });
  const slider = element("input", { type: "range", min: 0, max: 100, step: 1, ariaLabel: "Percent" });
  const number = element("input", { type: "number", min: 0, max: 100, step: 0.01, ariaLabel: "Percent" });
  const reason = element("input", { className: "reason", placeholder: "reason", maxLength: 1000, ariaLabel: "Reason" });
  const error = element("p", { className: "error", role: "alert" });
  const state = { flag, dirty: false };
  const edited = (value) => { slider.value = value; number.value = value; state.dirty = true; };
  slider.oninput = () => edited(slider.value);
  number.oninput = () => { slider.value = number.value; state.dirty = true; };

  const act = async (work) => {
    error.textContent = "";
    try {
      await work();
      state.dirty = false;
      reason.value = "";
    } catch (problem) { error.textContent = problem.message; }
    await refresh();
  };
  const why = () => {
    if (!reason.value.trim()) { reason.focus(); throw new Error("Say why: the reason goes into the history."); }
    return reason.value.trim();
  };
  const set = element("button", { className: "primary", textContent: "Set percent" });
  set.onclick = () => act(async () => {
    if (number.value === "" || !number.checkValidity()) throw new Error("0 to 100, two decimals at most.");
    await api("PATCH", flagPath(state.flag.id), {
      percent: Number(number.value), reason: why(), ifVersion: state.flag.version,
    });
  });
  const rollback = element("button", { className: "danger", textContent: "Roll back" });
  rollback.onclick = () => act(async () => {
    if (state.flag.killed) {
      await api("PATCH", flagPath(state.flag.id), { killed: false, reason: why(), ifVersion: state.flag.version });
    } else {
      // Never held up by a missing text: everybody to legacy comes first.
      await api("POST", flagPath(state.flag.id, "rollback"), { reason: reason.value.trim() || "rolled back from the console" });
    }
  });
  const history = element("button", { textContent: "History" });
  // Looking must not throw away what is being typed.
  history.onclick = () => showHistory(state.flag.id).catch((problem) => { error.textContent = problem.message; });

  const node = element("article", { className: "card" },
    element("h3", {}, element("span", { textContent: flag.id }), phase), meta, bar,
    element("div", { className: "row" }, slider, number),
    element("div", { className: "row" }, reason),
    element("div", { className: "row" }, set, rollback, history), error);

  const update = (next) => {
    state.flag = next;
    node.className = next.killed ? "card killed" : "card";
    phase.className = "phase " + next.phase;
    phase.textContent = next.phase + (next.pending ? " (not in the log yet)" : "");
    const lists = [["allowed", next.allow], ["denied", next.deny], ["rules", next.rules]]
      .filter(([, list]) => list.length).map(([name, list]) => list.length + " " + name);
    meta.textContent = ["version " + next.version, next.percent + " %", next.subject.join(" → "), ...lists,
      ...(next.drain ? ["draining"] : [])].join(" · ");
    bar.value = next.killed ? 0 : next.percent;
    rollback.textContent = next.killed ? "Clear rollback" : "Roll back";
    if (!state.dirty && document.activeElement !== number) { slider.value = next.percent; number.value = next.percent; }
  };
  update(flag);
  return { node, update };
}

function showFlags(flags) {
  for (const [id, entry] of cards) {
    if (!flags.some((flag) => flag.id === id)) { entry.node.remove(); cards.delete(id); }
  }
  for (const flag of flags) {
    if (cards.has(flag.id)) cards.get(flag.id).update(flag);
    else { const entry = card(flag); cards.set(flag.id, entry); $("flags").append(entry.node); }
  }
}

function fill(table, heads, rows) {
  const row = (cells, kind) => element("tr", {}, ...cells.map((cell) => {
    const { text, className } = cell !== null && typeof cell === "object" ? cell : { text: cell };
    return element(kind, { textContent: text === null || text === undefined ? "–" : String(text), className: className || "" });
  }));
  table.replaceChildren(element("thead", {}, row(heads, "th")), element("tbody", {}, ...rows.map((cells) => row(cells, "td"))));
}

const number = (text) => ({ text, className: "number" });
const ms = (value) => (value === null || value === undefined ? "–" : value.toFixed(1) + " ms");

function showRoutes(routes) {
  const heads = ["Route", "Matches", "Legacy", "Candidate", "Flag", number("Legacy req."), number("p99"), number("Candidate req."), number("p99"), number("5xx"), number("Fallbacks")];
  fill($("routes"), heads, routes.map((route) => {
    const { legacy, candidate } = route.stats;
    const errors = (legacy.byClass["5xx"] || 0) + (candidate.byClass["5xx"] || 0);
    const latency = (side) => number(side.latency.count ? ms(side.latency.p99Ms) : "–");
    return [route.id,
      [(route.methods || []).join(" "), (route.host || "") + route.paths].filter(Boolean).join(" "),
      { text: route.legacy, className: "legacy" }, { text: route.candidate, className: "candidate" },
      route.flag && route.flag + " (" + (route.flagState.killed ? "killed" : route.flagState.percent + " %") + ")",
      number(legacy.requests), latency(legacy), number(candidate.requests), latency(candidate),
      { text: errors, className: errors ? "number bad" : "number" }, number(candidate.fallbacks)];
  }));
}

function showUpstreams(upstreams) {
  const rows = upstreams.flatMap((upstream) => upstream.endpoints.map((endpoint) => [
    upstream.id, endpoint.address,
    endpoint.healthy ? { text: "healthy", className: "candidate" } : { text: "unhealthy", className: "bad" },
    endpoint.breaker, number(endpoint.inFlight), number(endpoint.idleConnections)]));
  fill($("upstreams"), ["Upstream", "Endpoint", "Health", "Breaker", number("In flight"), number("Idle connections")], rows);
}

async function showHistory(id) {
  const { items } = await api("GET", flagPath(id, "history"));
  $("history-title").textContent = "History of " + id;
  const summary = (state) => state && (state.killed ? "killed, " : "") + state.percent + " %" + (state.drain ? ", draining" : "");
  fill($("history-table"), [number("Version"), "At", "Who", "Why", "Before", "After"], items.map((change) => [
    number(change.version), new Date(change.at).toLocaleString(), change.actor,
    { text: change.reason, className: "wrap" }, summary(change.before), summary(change.after)]));
  if (!$("history").open) $("history").showModal();
}

function showNotices(degraded, config) {
  const faults = config.faults.map((fault) => "The configuration file is not in force: " + (fault.key ? fault.key + ": " : "") + fault.message);
  $("notices").replaceChildren(...[...degraded, ...faults].map((text) => element("li", { textContent: text })));
}

function showLogin() {
  $("login").hidden = false;
  $("main").hidden = true;
}

async function refresh() {
  try {
    const [flags, routes, upstreams, config] =
      await Promise.all(["flags", "routes", "upstreams", "config"].map((path) => api("GET", path)));
    showFlags(flags.items);
    showRoutes(routes.items);
    showUpstreams(upstreams.items);
    showNotices(flags.degraded, config);
    $("login").hidden = true;
    $("main").hidden = false;
    $("actor-label").hidden = Boolean(store.token);
    $("state").textContent = "live, " + new Date().toLocaleTimeString();
  } catch (problem) { $("state").textContent = problem.message; }
}

$("login").onsubmit = (event) => {
  event.preventDefault();
  store.token = $("token").value.trim();
  $("token").value = "";
  refresh();
};
$("explain").onsubmit = async (event) => {
  event.preventDefault();
  const subject = $("explain-subject").value.trim();
  const question = { method: $("explain-method").value, path: $("explain-path").value };
  if (subject) question.subject = subject;
  try {
    const told = await api("POST", "explain", question);
    $("explained").textContent = `${told.route} → ${told.side} (${told.upstream}): ${told.why}`;
  } catch (problem) { $("explained").textContent = problem.message; }
};

(async function live() {
  if (!document.hidden && $("login").hidden) await refresh();
  setTimeout(live, REFRESH_MS);
})();
