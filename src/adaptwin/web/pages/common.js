// What the pages share: calls of the API, and figures as text.

const NOTHING = "–";
let client = localStorage.getItem("adaptwin-client");
if (!client) {
  client = crypto.getRandomValues(new Uint32Array(4)).join("-");
  localStorage.setItem("adaptwin-client", client);
}

export class Refusal extends Error {
  constructor(message, field = "") {
    super(message);
    this.field = field;
  }
}

export async function call(path, { method = "GET", body, signal } = {}) {
  const headers = { "X-Adaptwin-Client": client };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await answerTo(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  if (response.ok) return response.json();
  if (response.status === 401) {
    location.assign("/sign-in");
    throw new Refusal("You are not signed in any more.");
  }
  const { detail } = await response.json().catch(() => ({ detail: response.statusText }));
  if (typeof detail === "string") throw new Refusal(detail);
  const [first, ...others] = detail;
  throw new Refusal([messageOf(first), ...others.map((each) => withField(fieldOf(each), messageOf(each)))].join("; "), fieldOf(first));
}

async function answerTo(path, asked) {
  try {
    return await fetch(path, asked);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The server does not answer. Is it running, and is the network there?");
  }
}

const fieldOf = ({ loc }) => loc.filter((part) => part !== "body" && part !== "").join(".");
const messageOf = ({ msg }) => msg.replace(/^Value error, /, "");

export const withField = (field, message) => (field && !message.startsWith(field) ? `${field}: ${message}` : message);

export function element(tag, fields = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(fields)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function options(select, values) {
  select.replaceChildren(...values.map(([value, text]) => element("option", { value }, text)));
}

export function number(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  if (value > 0 && value < 0.01) return "under 0.01";
  return value >= 100 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits });
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  if (seconds < 0.9995) return `${number(1000 * seconds, 2)} ms`;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${number(seconds / 60, 2)} min`;
}

export const percent = (share) => (share === null || share === undefined ? NOTHING : `${Math.round(100 * share)} %`);
export const money = (value, currency) => (value === null || value === undefined ? "not known" : `${value.toFixed(2)} ${currency ?? ""}`.trim());
export const gpus = (count) => `${count.toLocaleString("en")} ${count === 1 ? "GPU" : "GPUs"}`;
export const adapters = (count) => `${count.toLocaleString("en")} ${count === 1 ? "adapter" : "adapters"}`;
export const tone = (answer) => ({ yes: "good", no: "bad" })[answer] ?? "warn";

export function when(job, timeStyle = "short") {
  return new Date(1000 * job.created).toLocaleString("en", { dateStyle: "medium", timeStyle });
}

// Cards of a label, a value, the class of the value, and a note.
export function cards(values) {
  return element("dl", { className: "cards" }, ...values.map(([label, value, className = "", note = ""]) =>
    element("div", { className: "card" }, element("dt", {}, label), element("dd", { className }, value),
      ...(note ? [element("dd", { className: "note" }, note)] : []))));
}

// Whether plans are safe, taken together, and the reasons why they are not.
export function safetyOf({ plans }) {
  const answer = ["no", "with care"].find((each) => plans.some(({ safe }) => safe === each)) ?? "yes";
  const reasons = answer === "yes" ? [] : plans.filter(({ safe }) => safe === answer).flatMap((plan) => plan.reasons ?? []);
  return { answer, reasons: reasons.join("; ") };
}

const known = (value) => (Number.isFinite(value) ? value : null);

// The lowest headroom of all servers; "over" where the search for it ended without a limit.
export function lowestHeadroom({ plans }) {
  const [fullest] = plans.filter(({ headroom }) => Number.isFinite(headroom)).sort((a, b) => a.headroom - b.headroom);
  return fullest ? `${fullest.headroom_is_open ? "over " : ""}${percent(fullest.headroom)}` : NOTHING;
}

export function cardsOf(summary) {
  const { answer, reasons } = safetyOf(summary);
  const most = (name) => known(Math.max(...summary.plans.map((plan) => plan[name] ?? -Infinity)));
  return [
    ["GPUs", gpus(summary.gpus)],
    ["Safe", answer, tone(answer), reasons],
    ["Price per hour", money(summary.cost_per_hour, summary.currency)],
    ["Per month (730 h)", summary.cost_per_hour === null ? "not known" : `${Math.round(730 * summary.cost_per_hour).toLocaleString("en")} ${summary.currency ?? ""}`],
    ["Lower bound", gpus(summary.lower_bound)],
    ["Lowest headroom", lowestHeadroom(summary)],
    ["Worst TTFT p99", duration(most("ttft_p99"))],
    ["Worst ITL p99", duration(most("itl_p99"))],
    ["Adapters", summary.adapters.toLocaleString("en")],
    ["Requests", `${number(summary.request_rate)} req/s`],
  ];
}
