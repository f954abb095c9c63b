// The page that asks for a plan, follows it, and lists the latest ones.
import { call, cardsOf, element, gpus, number, options, tone } from "./common.js";

const $ = (id) => document.getElementById(id);
const OBJECTIVES = {
  "min-gpus": "the fewest GPUs", slo: "the fewest GPUs within limits on latency", "min-cost": "the lowest price",
  "min-latency": "the lowest latency on given GPUs", "max-throughput": "the most throughput on given GPUs",
};
const GIVEN_GPUS = new Set(["min-latency", "max-throughput"]);
const DERIVED = "derived";
let profiles = [];
let gpuSheets = [];
let planId = null;
let source = null;

const example = (adapters, rate) => {
  const rows = [];
  let total = 0;
  for (let i = 0; i < adapters; i += 1) total += 1 / (i + 1) ** 0.8;
  for (let i = 0; i < adapters; i += 1) {
    const own = (rate / (i + 1) ** 0.8 / total).toPrecision(3);
    rows.push(`tenant-${String(i).padStart(3, "0")},${[8, 16, 8, 32][i % 4]},${own}`);
  }
  return `name,rank,rate\n${rows.join("\n")}\n`;
};
const EXAMPLES = { small: () => example(20, 6), tenants: () => example(200, 40) };

const guessFormat = (name, text) => {
  if (/\.ya?ml$/i.test(name)) return "yaml";
  if (/\.(jsonl|log)$/i.test(name)) return "log";
  if (/^\s*\{/.test(text)) return text.includes('"adapters"') ? "yaml" : "log";
  const [head] = text.trimStart().split("\n", 1);
  if (/\brank\b/.test(head) && /\brate\b/.test(head)) return "csv";
  return /^[\w-]+:/m.test(text) ? "yaml" : head.includes(",") ? "log" : "csv";
};

const setFormat = (format) => {
  $("format").value = format;
  for (const id of ["rank-of-log", "base-of-log"]) $(id).hidden = format !== "log";
};

const take = async (file) => {
  if (!file) return;
  $("text").value = await file.text();
  setFormat(guessFormat(file.name, $("text").value));
};

const showHardware = () => {
  const derived = $("hardware").value === DERIVED;
  for (const each of document.querySelectorAll(".derived")) each.hidden = !derived;
  const profile = profiles.find(({ name }) => name === $("hardware").value);
  const sheet = derived && gpuSheets.find(({ name }) => name === $("gpu").value);
  $("trust").textContent = profile
    ? `${profile.gpu}, ${profile.model}, vLLM ${profile.vllm_version}: ${profile.grade}. Error: ${profile.error}.`
    : derived
      ? "Derived from data sheets: an estimate. Measure your own server before you rely on it." +
        (sheet?.price_per_hour ? ` A typical price of this GPU is ${sheet.price_per_hour} USD per hour.` : "")
      : "The profiles that the fleet file names.";
};

const request = () => {
  const planning = { objective: $("objective").value, headroom: Number($("headroom").value) / 100, spare: Number($("spare").value) };
  if (GIVEN_GPUS.has(planning.objective)) Object.assign(planning, { gpus: Number($("gpus").value), spare: 0, headroom: 0 });
  if ($("ttft").value) planning.ttft_p99 = Number($("ttft").value);
  if ($("itl").value) planning.itl_p99 = Number($("itl").value) / 1000;
  if ($("currency").value.trim()) planning.currency = $("currency").value.trim();
  const body = { fleet: $("text").value, format: $("format").value, planning };
  const hardware = $("hardware").value;
  if (hardware === DERIVED) Object.assign(body, { gpu: $("gpu").value, model: $("model").value });
  else if (hardware) body.profile = hardware;
  if ($("price").value) body.price_per_hour = Number($("price").value);
  if (body.format === "log") {
    body.rank = Number($("rank").value);
    if ($("base").value.trim()) body.base_model = $("base").value.trim();
  }
  return body;
};

// Where the error of a field of the API belongs on this page; the first that matches, and the button for all others.
const PLACES = [
  [/^(planning\.)?(objective|strategy)/, "objective"], [/^(planning\.)?gpus/, "gpus"], [/ttft/, "ttft"], [/itl/, "itl"],
  [/^(planning\.)?spare/, "spare"], [/^(planning\.)?headroom/, "headroom"], [/currency/, "currency"],
  [/^price/, "price"], [/^(profile|gpu|model)/, "hardware"], [/^rank$/, "rank"], [/^base_model/, "base"],
  [/^(fleet|adapters|arrivals|lengths|duration|rates_over_time|line|column|file)/, "text"],
];

const forget = () => {
  $("error").hidden = true;
  for (const each of document.querySelectorAll("[aria-invalid]")) {
    each.removeAttribute("aria-invalid");
    each.removeAttribute("aria-describedby");
  }
};

const fail = (message, field = "") => {
  forget();
  const place = $(PLACES.find(([pattern]) => pattern.test(field))?.[1] ?? "plan");
  const isInput = place.id !== "plan" && place.offsetParent !== null;
  (isInput ? place.closest("fieldset") : $("end")).append($("error"));
  $("error").textContent = field && !message.startsWith(field) ? `${field}: ${message}` : message;
  $("error").hidden = false;
  if (isInput) {
    place.setAttribute("aria-invalid", "true");
    place.setAttribute("aria-describedby", "error");
    place.focus();
  }
};

const stop = () => {
  source?.close();
  source = null;
  $("running").hidden = true;
  $("plan").disabled = false;
};

const follow = (id) => {
  planId = id;
  $("running").hidden = false;
  $("plan").disabled = true;
  $("stage").textContent = "waiting";
  $("progress").removeAttribute("value");
  source = new EventSource(`/v1/plans/${id}/events`);
  source.onmessage = ({ data }) => {
    const job = JSON.parse(data);
    if (job.state === "queued") $("stage").textContent = job.ahead ? `waiting, ${job.ahead} before this one` : "waiting";
    if (job.stage) {
      $("stage").textContent = job.stage.name;
      Object.assign($("progress"), { max: job.stage.total || 1, value: job.stage.done });
    }
    if (job.state === "done") { stop(); location.assign(`/plans/${id}`); }
    if (job.state === "failed") {
      stop();
      fail(job.failure.message, job.failure.field);
      latest();
    }
    if (job.state === "cancelled") { stop(); latest(); }
  };
};

const latest = async () => {
  const jobs = await call("/v1/plans?most=10");
  if (!jobs.length) return;
  const rows = jobs.map((job) => {
    const when = new Date(1000 * job.created).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
    const done = job.state === "done";
    const safe = done ? job.summary.plans.map(({ safe: answer }) => answer).sort().at(0) : "";
    return element("tr", {},
      element("th", { scope: "row" }, done ? element("a", { href: `/plans/${job.id}` }, when) : when),
      element("td", {}, done ? gpus(job.summary.gpus) : job.state),
      element("td", { className: tone(safe) }, done ? safe : (job.failure?.message ?? "")),
      element("td", { className: "n" }, done ? `${number(job.summary.adapters)} adapters` : ""));
  });
  const head = element("tr", {}, ...["asked", "result", "safe, or what is wrong", "fleet"].map((text) => element("th", { scope: "col" }, text)));
  $("latest").replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
};

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  forget();
  if (!$("text").value.trim()) { fail("Adapters are missing: choose a file, write them, or take an example.", "fleet"); return; }
  try {
    follow((await call("/v1/plans", { method: "POST", body: request() })).id);
  } catch (error) { stop(); fail(error.message, error.field); }
});
$("cancel").addEventListener("click", () => call(`/v1/plans/${planId}`, { method: "DELETE" }).catch((error) => fail(error.message)));
$("file").addEventListener("change", ({ target }) => take(target.files[0]));
$("format").addEventListener("change", ({ target }) => setFormat(target.value));
$("hardware").addEventListener("change", showHardware);
$("gpu").addEventListener("change", showHardware);
$("objective").addEventListener("change", ({ target }) => { $("given-gpus").hidden = !GIVEN_GPUS.has(target.value); });
$("headroom").addEventListener("input", ({ target }) => { $("headroom-is").textContent = `${target.value} %`; });
for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", () => { $("text").value = EXAMPLES[button.dataset.example](); setFormat("csv"); });
}
const drop = $("drop");
for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });

const [known, sheets, models, objectives] = await Promise.all(["profiles", "gpus", "models", "objectives"].map((name) => call(`/v1/${name}`)));
[profiles, gpuSheets] = [known, sheets];
options($("hardware"), [...known.map(({ name, gpu, model }) => [name, `${gpu}, ${model} (measured)`]), [DERIVED, "another GPU or model (derived)"], ["", "as the fleet file says"]]);
options($("gpu"), sheets.map(({ name, memory_gib: memory }) => [name, `${name} (${Math.round(memory)} GiB)`]));
options($("model"), models.map((name) => [name, name]));
options($("objective"), objectives.map((name) => [name, OBJECTIVES[name] ?? name]));
showHardware();
await latest();
