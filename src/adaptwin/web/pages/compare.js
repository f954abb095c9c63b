// The page that holds two plans against each other.
import { adapters, call, cardsOf, duration, element, gpus, options, percent, when } from "./common.js";
import { differences } from "./differences.js";
import { OBJECTIVES, titleOf } from "./words.js";

const $ = (id) => document.getElementById(id);
const CHOICES = [["first", "a"], ["second", "b"]];
let jobs = [];

const titled = (job) => `${titleOf(job)}: ${gpus(job.summary.gpus)}, ${when(job, "medium")}`;
const isGiven = (value) => value !== null && value !== undefined;
const OF_FLEET = "the fleet's";
const NOT_GIVEN = "no limit asked";

const serversOf = ({ summary }) => element("ul", {}, ...summary.plans.flatMap((plan) => plan.servers).map((server) =>
  element("li", {}, `${server.name}: ${adapters(server.adapters)}, max_loras ${server.max_loras}, ${server.verdict ?? "standby"}`)));

const askedOf = (job) => {
  const { objective, headroom, spare, ttft_p99: ttft, itl_p99: itl } = job.asked ?? {};
  return [
    ["Traffic", `× ${job.traffic ?? 1}`],
    ["GPU and model", job.hardware || OF_FLEET],
    ["Objective", OBJECTIVES[objective]?.replace(/ below$/, "") ?? objective ?? OF_FLEET],
    ["Headroom asked", isGiven(headroom) ? percent(headroom) : OF_FLEET],
    ["GPUs that may fail", isGiven(spare) ? String(spare) : OF_FLEET],
    ["TTFT p99 at most", isGiven(ttft) ? duration(ttft) : NOT_GIVEN],
    ["ITL p99 at most", isGiven(itl) ? duration(itl) : NOT_GIVEN],
  ];
};

const row = ([label, value, className = ""], [, other, otherClass = ""]) => {
  const differs = value !== other;
  const mark = differs ? [" ", element("span", { className: "mark" }, "differs")] : [];
  return element("tr", { className: differs ? "differs" : "" },
    element("th", { scope: "row" }, label, ...mark),
    element("td", { className, "data-label": "first" }, value),
    element("td", { className: otherClass, "data-label": "second" }, other));
};

const tableOf = (pair) => {
  const heads = pair.map((job) => element("th", { scope: "col", className: "name" }, element("a", { href: `/plans/${job.id}` }, titled(job))));
  const [values, others] = pair.map((job) => [...cardsOf(job.summary), ...askedOf(job)]);
  const [servers, otherServers] = pair.map(serversOf);
  return element("table", { className: "stacked" },
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Figure"), ...heads)),
    element("tbody", {}, ...values.map((value, place) => row(value, others[place])),
      element("tr", {}, element("th", { scope: "row" }, "Servers"),
        element("td", { "data-label": "first" }, servers), element("td", { "data-label": "second" }, otherServers))));
};

const show = () => {
  const pair = CHOICES.map(([name]) => jobs.find(({ id }) => id === $(name).value));
  $("answer").textContent = "";
  $("table").replaceChildren();
  if (pair.includes(undefined)) return;
  $("error").hidden = true;
  const [first, second] = pair;
  history.replaceState(null, "", `?a=${first.id}&b=${second.id}`);
  $("answer").textContent = first === second ? "This is one plan: choose another one." : differences(first, second);
  $("table").replaceChildren(tableOf(pair));
};

const fail = (message) => {
  $("error").textContent = message;
  $("error").hidden = false;
};

// An address can name a plan that is not among the latest ones, or is none.
const find = async (id) => {
  try {
    const job = await call(`/v1/plans/${id}`);
    if (job.state === "done") jobs.push(job);
    else fail(`The plan ${id} is not done: choose another one.`);
  } catch (error) { fail(`The plan ${id} of the address cannot be shown: ${error.message}.`); }
};

try {
  jobs = (await call("/v1/plans?most=100&state=done")).filter(({ state }) => state === "done");
  const asked = new URLSearchParams(location.search);
  for (const [, name] of CHOICES) {
    const id = asked.get(name);
    if (id && !jobs.some((job) => job.id === id)) await find(id);
  }
  $("none").hidden = jobs.length >= 2;
  const latest = jobs.map(({ id }) => id);
  const taken = [];
  for (const [name, parameter] of CHOICES) {
    options($(name), [["", "choose a plan"], ...jobs.map((job) => [job.id, titled(job)])]);
    const other = latest.find((id) => !taken.includes(id) && id !== asked.get("b")) ?? "";
    const id = asked.get(parameter) ?? other;
    $(name).value = latest.includes(id) ? id : "";
    taken.push($(name).value);
    $(name).addEventListener("change", show);
  }
  show();
} catch (error) { fail(error.message); }
