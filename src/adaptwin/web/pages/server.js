// The page of one server: every move of a slider is simulated anew.
import { call, cards, duration, number, options, percent, withField } from "./common.js";

const $ = (id) => document.getElementById(id);
const SLIDERS = ["max_loras", "rate", "adapters", "high", "prompt", "answer"];
const UNITS = { high: " %" };
const VERDICTS = {
  ok: ["It holds.", "good"], sluggish: ["It holds, but over 1 % of requests wait for over 2 s.", "warn"], slow: ["It misses a latency target.", "warn"],
  starved: ["Adapters are starved.", "bad"], backlogged: ["Its queue grows.", "bad"], unknown: ["It cannot be judged.", "warn"],
};
let running = null;

const show = (answer) => {
  $("error").hidden = true;
  const [text, className] = answer.starts ? (VERDICTS[answer.verdict] ?? [answer.verdict, "warn"]) : [`vLLM does not start: ${answer.problem}.`, "bad"];
  $("verdict").textContent = answer.starved ? `${text} ${answer.starved} of ${$("adapters").value} adapters get too little.` : text;
  $("verdict").className = className;
  $("cards").replaceChildren(cards([
    ["Throughput", answer.starts ? `${number(answer.throughput)} tok/s` : "–"],
    ["TTFT p50", duration(answer.ttft_p50)], ["TTFT p99", duration(answer.ttft_p99)],
    ["ITL mean", duration(answer.itl_mean)], ["ITL p99", duration(answer.itl_p99)],
    ["KV cache", answer.starts ? `${number(answer.kv_cache_tokens / 1000)} k tokens` : "–"],
    ["Running", number(answer.mean_running)], ["Waiting", number(answer.mean_waiting)],
  ]));
  showShare("kv", answer.starts ? answer.kv_usage : null);
  showShare("served", answer.starts && answer.offered_throughput ? Math.min(1, answer.throughput / answer.offered_throughput) : null);
  $("assumed").textContent = answer.assumptions.length ? `Assumes: ${answer.assumptions.join("; ")}.` : "";
  $("extrapolated").textContent = (answer.extrapolations ?? []).join(" ");
};

const showShare = (name, share) => {
  $(name).value = share ?? 0;
  $(`${name}-is`).textContent = percent(share);
};

// Figures of other settings would look like those of these.
const fail = (error) => {
  $("verdict").textContent = "";
  $("cards").replaceChildren();
  for (const name of ["kv", "served"]) showShare(name, null);
  for (const name of ["assumed", "extrapolated"]) $(name).textContent = "";
  const isTooMuch = /in all are too many/.test(error.message);
  $("error").textContent = isTooMuch ? "Too much to simulate: lower the rate or the lengths." : withField(error.field, error.message);
  $("error").hidden = false;
};

// The address holds the settings, so that they outlive a reload and can be sent to others.
const keepInAddress = () => {
  history.replaceState(null, "", `?${new URLSearchParams(["profile", ...SLIDERS].map((name) => [name, $(name).value]))}`);
};

const restoreFromAddress = () => {
  const given = new URLSearchParams(location.search);
  for (const name of SLIDERS) if (given.has(name)) $(name).value = given.get(name);
  const isKnown = [...$("profile").options].some(({ value }) => value === given.get("profile"));
  if (isKnown) $("profile").value = given.get("profile");
};

const simulate = async () => {
  for (const name of SLIDERS) $(`${name}-is`).textContent = `${Number($(name).value).toLocaleString("en")}${UNITS[name] ?? ""}`;
  running?.abort();
  running = new AbortController();
  const high = Number($("high").value);
  const body = { profile: $("profile").value, ranks: { 8: 100 - high, 64: high } };
  if (!high) delete body.ranks[64];
  if (high === 100) delete body.ranks[8];
  for (const name of SLIDERS) if (name !== "high") body[name] = Number($(name).value);
  try {
    show(await call("/v1/simulations", { method: "POST", body, signal: running.signal }));
  } catch (error) {
    if (error.name === "AbortError") return;
    fail(error);
  }
};

try {
  options($("profile"), (await call("/v1/profiles")).map(({ name, gpu, model }) => [name, `${gpu}, ${model}`]));
} catch (error) { fail(error); }
restoreFromAddress();
$("form").addEventListener("input", simulate);
$("form").addEventListener("change", keepInAddress);
$("form").addEventListener("submit", (event) => event.preventDefault());
await simulate();
