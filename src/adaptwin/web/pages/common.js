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
  const response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  if (response.ok) return response.json();
  if (response.status === 401) location.assign("/sign-in");
  const { detail } = await response.json().catch(() => ({ detail: response.statusText }));
  if (typeof detail === "string") throw new Refusal(detail);
  throw new Refusal(detail.map(inWords).join("; "), fieldOf(detail[0]));
}

const fieldOf = ({ loc }) => loc.filter((part) => part !== "body" && part !== "").join(".");

function inWords(wrong) {
  const field = fieldOf(wrong);
  return field ? `${field}: ${wrong.msg}` : wrong.msg;
}

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
export const tone = (answer) => ({ yes: "good", no: "bad" })[answer] ?? "warn";

export function cards(values) {
  return element("dl", { className: "cards" }, ...values.map(([label, value, className = ""]) =>
    element("div", { className: "card" }, element("dt", {}, label), element("dd", { className }, value))));
}

export function cardsOf(summary) {
  const safe = summary.plans.map(({ safe: answer }) => answer);
  const worst = safe.includes("no") ? "no" : safe.includes("with care") ? "with care" : "yes";
  const least = (name) => Math.min(...summary.plans.map((plan) => plan[name] ?? Infinity));
  const most = (name) => Math.max(...summary.plans.map((plan) => plan[name] ?? -Infinity));
  const known = (value) => (Number.isFinite(value) ? value : null);
  return [
    ["GPUs", gpus(summary.gpus)],
    ["Safe", worst, tone(worst)],
    ["Price per hour", money(summary.cost_per_hour, summary.currency)],
    ["Per month (730 h)", summary.cost_per_hour === null ? "not known" : `${Math.round(730 * summary.cost_per_hour).toLocaleString("en")} ${summary.currency ?? ""}`],
    ["Lower bound", gpus(summary.lower_bound)],
    ["Lowest headroom", percent(known(least("headroom")))],
    ["Worst TTFT p99", duration(known(most("ttft_p99")))],
    ["Adapters", `${summary.adapters.toLocaleString("en")}, ${number(summary.request_rate)} req/s`],
  ];
}
