// The page that holds two plans against each other.
import { call, cardsOf, element, gpus, options } from "./common.js";

const $ = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
const jobs = (await call("/v1/plans?most=100")).filter(({ state }) => state === "done");
const titled = (job) => `${new Date(1000 * job.created).toLocaleString("en", { dateStyle: "medium", timeStyle: "medium" })}: ${gpus(job.summary.gpus)} for ${job.summary.adapters} adapters`;

const show = () => {
  const [first, second] = ["first", "second"].map((name) => jobs.find(({ id }) => id === $(name).value));
  if (!first || !second) return;
  history.replaceState(null, "", `?a=${first.id}&b=${second.id}`);
  const values = [first, second].map(({ summary }) => cardsOf(summary));
  const head = element("tr", {}, element("th", { scope: "col" }, "Figure"), ...[first, second].map((job) => element("th", { scope: "col" }, element("a", { href: `/plans/${job.id}` }, titled(job)))));
  const rows = values[0].map(([label, value, className = ""], place) =>
    element("tr", {}, element("th", { scope: "row" }, label), element("td", { className }, value), element("td", { className: values[1][place][2] ?? "" }, values[1][place][1])));
  const servers = element("tr", {}, element("th", { scope: "row" }, "Servers"), ...[first, second].map(({ summary }) =>
    element("td", {}, element("ul", {}, ...summary.plans.flatMap((plan) => plan.servers).map((server) =>
      element("li", {}, `${server.name}: ${server.adapters} adapters, max_loras ${server.max_loras}, ${server.verdict ?? "standby"}`))))));
  $("table").replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows, servers)));
};

$("none").hidden = jobs.length >= 2;
for (const name of ["first", "second"]) {
  options($(name), jobs.map((job) => [job.id, titled(job)]));
  $(name).addEventListener("change", show);
}
if (jobs.length) {
  $("first").value = jobs.some(({ id }) => id === asked.get("a")) ? asked.get("a") : jobs[0].id;
  $("second").value = jobs.some(({ id }) => id === asked.get("b")) ? asked.get("b") : (jobs.find(({ id }) => id !== $("first").value) ?? jobs[0]).id;
  show();
}
