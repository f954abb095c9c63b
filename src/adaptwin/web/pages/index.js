// The page that asks for a plan, and lists the latest ones.
import { adapters, call, element, gpus, options, safetyOf, tone, when, withField } from "./common.js";
import { EXAMPLES, guessFormat, notText } from "./fleet_text.js";
import { hasEnded } from "./follow.js";
import { keep, kept, restore } from "./kept_form.js";
import { OBJECTIVES, WHAT_APPLIES, inWordsOfThePage, titleOf } from "./words.js";

const $ = (id) => document.getElementById(id);
const GIVEN_GPUS = new Set(["min-latency", "max-throughput"]);
const DERIVED = "derived";
const NO_TITLE = "adapters";
const LONGEST_TITLE = 120;
const MOST_LISTED = 20;
const LIST_EVERY = 2000; // ms, while a plan of the list is unfinished
let profiles = [];
let gpuSheets = [];
let title = NO_TITLE;
let planId = null; // of the plan that was asked for with these entries
let nextList = null;

const setFormat = (format) => {
  $("format").value = format;
  for (const each of document.querySelectorAll(".of-log")) each.hidden = format !== "log";
};

const take = async (file) => {
  if (!file) return;
  forget();
  const text = await file.text();
  const wrong = notText(text);
  if (wrong) {
    $("file").value = "";
    fail(wrong, ["file"]);
    return;
  }
  $("text").value = text;
  title = file.name;
  setFormat(guessFormat(file.name, text));
};

const takeExample = (button) => {
  forget();
  $("text").value = EXAMPLES[button.dataset.example]();
  title = `example of ${button.textContent}`;
  setFormat("csv");
};

const SMALL_H100 = "This is an H100 of 64 GB; for one of 80 GB choose another GPU.";
const sheet = () => ($("hardware").value === DERIVED ? gpuSheets.find(({ name }) => name === $("gpu").value) : undefined);

const trust = () => {
  const profile = profiles.find(({ name }) => name === $("hardware").value);
  if (profile) {
    const measured = `${profile.gpu}, ${profile.model}, vLLM ${profile.vllm_version}: ${profile.grade}. Error: ${profile.error}.`;
    return profile.gpu.includes("H100 64 GB") ? `${SMALL_H100} ${measured}` : measured;
  }
  if ($("hardware").value !== DERIVED) return "The GPUs and models that the fleet file names.";
  const estimate = "Derived from data sheets: an estimate. Measure your own server before you rely on it.";
  return $("gpu").value === "h100-64gb" ? `${SMALL_H100} ${estimate}` : estimate;
};

const showHardware = () => {
  for (const each of document.querySelectorAll(".derived")) each.hidden = $("hardware").value !== DERIVED;
  $("trust").textContent = trust();
  const price = sheet()?.price_per_hour;
  $("typical").hidden = !price;
  $("typical-price").textContent = price ? `A typical price of this GPU is ${price.toFixed(2)} USD per hour.` : "";
};

const showObjective = () => {
  const objective = $("objective").value;
  $("given-gpus").hidden = !GIVEN_GPUS.has(objective);
  $("what-applies").textContent = WHAT_APPLIES[objective] ?? "";
};

const showHeadroom = () => { $("headroom-is").textContent = `${$("headroom").value} %`; };

const request = () => {
  const planning = { objective: $("objective").value, headroom: Number($("headroom").value) / 100, spare: Number($("spare").value) };
  if (GIVEN_GPUS.has(planning.objective)) Object.assign(planning, { gpus: Number($("gpus").value), spare: 0, headroom: 0 });
  if ($("ttft").value) planning.ttft_p99 = Number($("ttft").value);
  if ($("itl").value) planning.itl_p99 = Number($("itl").value) / 1000;
  if ($("currency").value.trim()) planning.currency = $("currency").value.trim();
  const body = { title: title.replace(/\p{C}/gu, " ").slice(0, LONGEST_TITLE), fleet: $("text").value, format: $("format").value, planning };
  const hardware = $("hardware").value;
  if (hardware === DERIVED) Object.assign(body, { gpu: $("gpu").value, model: $("model").value });
  else if (hardware) body.profile = hardware;
  if ($("price").value) body.price_per_hour = Number($("price").value);
  if (body.format === "log") {
    body.rank = Number($("rank").value);
    if ($("time-unit").value) body.time_unit = $("time-unit").value;
    if ($("base").value.trim()) body.base_model = $("base").value.trim();
  }
  return body;
};

const forget = () => {
  $("error").hidden = true;
  for (const each of document.querySelectorAll("[aria-invalid]")) {
    each.removeAttribute("aria-invalid");
    each.removeAttribute("aria-errormessage");
  }
};

// Say what is wrong beside the first of these inputs that is shown, or else beside the button.
const fail = (message, places = []) => {
  forget();
  const inputs = places.map($).filter((each) => each.offsetParent !== null);
  const [first = $("plan")] = inputs;
  first.closest(".place").after($("error"));
  $("error").textContent = message;
  $("error").hidden = false;
  for (const each of inputs) {
    each.setAttribute("aria-invalid", "true");
    each.setAttribute("aria-errormessage", "error");
  }
  (inputs.length ? first : $("error")).focus();
  $("error").scrollIntoView({ block: "nearest" });
};

const failAsToldBy = (error) => {
  const { message, places } = inWordsOfThePage(error);
  // An input that is marked says itself which field is meant; in the text of a fleet, the field says where to look.
  const isMarked = places.length && places[0] !== "text";
  fail(isMarked ? message : withField(error.field, message), places);
};

const row = (job) => {
  const isDone = job.state === "done";
  const safe = isDone ? safetyOf(job.summary) : { answer: "", reasons: "" };
  const problem = job.failure ? inWordsOfThePage(job.failure).message : "";
  const cells = [
    ["result", "", isDone ? gpus(job.summary.gpus) : job.state],
    isDone ? ["safe", tone(safe.answer), safe.answer, safe.reasons] : ["what is wrong", "", problem],
    ["fleet", "", isDone ? adapters(job.summary.adapters) : ""],
    ["asked", "", when(job)],
  ];
  return element("tr", {},
    element("th", { scope: "row", className: "name" }, element("a", { href: `/plans/${job.id}` }, titleOf(job))),
    ...cells.map(([label, className, text, reasons = ""]) =>
      element("td", { className, title: reasons, "data-label": label }, text)));
};

const list = async () => {
  clearTimeout(nextList);
  const all = await call("/v1/plans?most=100");
  const jobs = all.filter(({ state, failure }) => state !== "failed" || failure?.kind !== "input").slice(0, MOST_LISTED);
  $("all").hidden = !jobs.length;
  if (!jobs.length) return;
  const head = element("tr", {}, ...["plan", "result", "safe, or what is wrong", "fleet", "asked"].map((text) => element("th", { scope: "col" }, text)));
  $("latest").replaceChildren(element("table", { className: "stacked" }, element("thead", {}, head), element("tbody", {}, ...jobs.map(row))));
  // One that fails to answer is asked again when the page is opened anew.
  if (!jobs.every(hasEnded)) nextList = setTimeout(() => list().catch(() => {}), LIST_EVERY);
};

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  forget();
  if (!$("text").value.trim()) { fail("Adapters are missing: choose a file, write them, or take an example.", ["text"]); return; }
  $("plan").disabled = true;
  try {
    planId = (await call("/v1/plans", { method: "POST", body: request() })).id;
    location.assign(`/plans/${planId}`);
  } catch (error) {
    $("plan").disabled = false;
    failAsToldBy(error);
  }
});
$("file").addEventListener("change", ({ target }) => take(target.files[0]));
$("text").addEventListener("input", ({ target }) => { if (!target.value.trim()) title = NO_TITLE; });
$("format").addEventListener("change", ({ target }) => setFormat(target.value));
$("hardware").addEventListener("change", showHardware);
$("gpu").addEventListener("change", showHardware);
$("use-price").addEventListener("click", () => {
  $("price").value = sheet().price_per_hour;
  $("currency").value = "USD";
});
$("objective").addEventListener("change", showObjective);
$("headroom").addEventListener("input", showHeadroom);
for (const button of document.querySelectorAll("[data-example]")) button.addEventListener("click", () => takeExample(button));
const drop = $("drop");
for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });

const showForm = () => {
  const before = kept();
  if (before) {
    restore($("form"), before);
    [title, planId] = [before.title, before.planId];
  }
  setFormat($("format").value);
  showHardware();
  showObjective();
  showHeadroom();
};

// A plan that failed leads back here, where what is wrong can be changed.
const showFailureOf = async (id) => {
  try {
    const { failure } = await call(`/v1/plans/${id}`);
    if (failure) failAsToldBy(failure);
  } catch (error) { failAsToldBy(error); }
};

try {
  const [known, sheets, models, objectives] = await Promise.all(["profiles", "gpus", "models", "objectives"].map((name) => call(`/v1/${name}`)));
  [profiles, gpuSheets] = [known, sheets];
  options($("hardware"), [...known.map(({ name, gpu, model }) => [name, `${gpu}, ${model} (measured)`]), [DERIVED, "another GPU or model (derived)"], ["", "as the fleet file says"]]);
  options($("gpu"), sheets.map(({ name, memory_gib: memory }) => [name, `${name} (${Math.round(memory)} GiB)`]));
  options($("model"), models.map((name) => [name, name]));
  options($("objective"), objectives.map((name) => [name, OBJECTIVES[name] ?? name]));
  showForm();
  addEventListener("pagehide", () => keep($("form"), { title, planId }));
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    $("plan").disabled = false;
    list();
  });
  await list();
  const edited = new URLSearchParams(location.search).get("edit");
  if (edited) await showFailureOf(edited);
} catch (error) { fail(error.message); }
