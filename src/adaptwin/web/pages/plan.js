// The page of one plan: its figures, its report, its downloads, and the same fleet with more traffic.
import { call, cards, cardsOf, gpus, options } from "./common.js";

const $ = (id) => document.getElementById(id);
const id = location.pathname.split("/").at(-1);
const path = `/v1/plans/${id}`;
let again = null;

const fail = (message) => { $("error").textContent = message; $("error").hidden = !message; };

const setDownload = () => {
  const choice = $("stack").value;
  $("download").href = { plan: `${path}/plan.yaml`, report: `${path}/report?download=true` }[choice] ?? `${path}/exports/${choice}`;
};

const planAgain = async () => {
  fail("");
  try {
    const { id: next } = await call(`${path}/again`, { method: "POST", body: { factor: Number($("factor").value) } });
    again = next;
    $("running").hidden = false;
    $("again").disabled = true;
    const source = new EventSource(`/v1/plans/${next}/events`);
    source.onmessage = ({ data }) => {
      const job = JSON.parse(data);
      $("stage").textContent = job.stage?.name ?? "waiting";
      if (job.stage) Object.assign($("progress"), { max: job.stage.total || 1, value: job.stage.done });
      if (job.state === "done") { source.close(); location.assign(`/compare?a=${id}&b=${next}`); }
      if (job.state === "failed" || job.state === "cancelled") {
        source.close();
        $("running").hidden = true;
        $("again").disabled = false;
        if (job.failure) fail(job.failure.message);
      }
    };
  } catch (error) { fail(error.message); }
};

$("stack").addEventListener("change", setDownload);
$("again").addEventListener("click", planAgain);
$("cancel").addEventListener("click", () => call(`/v1/plans/${again}`, { method: "DELETE" }).catch((error) => fail(error.message)));

try {
  const job = await call(path);
  if (job.state !== "done") throw new Error(`This plan is ${job.state}${job.failure ? `: ${job.failure.message}` : "."}`);
  $("title").textContent = `${gpus(job.summary.gpus)} for ${job.summary.adapters.toLocaleString("en")} adapters`;
  document.title = `${$("title").textContent} – adaptwin`;
  $("cards").replaceChildren(cards(cardsOf(job.summary)));
  const stacks = await call("/v1/stacks");
  options($("stack"), [["plan", "the plan (YAML)"], ["report", "the report (HTML)"], ...stacks.map((name) => [name, `files for ${name}`])]);
  setDownload();
  $("compare").href = `/compare?a=${id}`;
  $("alone").href = `${path}/report`;
  $("tools").hidden = false;
  $("report").src = `${path}/report`;
  $("report").hidden = false;
} catch (error) { fail(error.message); }
