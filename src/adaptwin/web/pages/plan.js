// The page of one plan: how far it is, then its figures, its report, its downloads, and the same with more traffic.
import { adapters, call, cards, cardsOf, gpus, options, when } from "./common.js";
import { follow, hasEnded, showStage } from "./follow.js";
import { kept } from "./kept_form.js";
import { STACKS, inWordsOfThePage, titleOf } from "./words.js";

const $ = (id) => document.getElementById(id);
const id = location.pathname.split("/").at(-1);
const path = `/v1/plans/${id}`;
const comparedWith = new URLSearchParams(location.search).get("compare"); // the plan whose traffic was multiplied

const setTitle = (text) => {
  $("title").textContent = text;
  document.title = `${text} – adaptwin`;
};

const fail = (message) => {
  $("running").hidden = true;
  $("error").textContent = message;
  $("error").hidden = false;
  $("error").focus();
};

const setDownload = () => {
  const choice = $("stack").value;
  $("download").href = { plan: `${path}/plan.yaml`, report: `${path}/report?download=true` }[choice] ?? `${path}/exports/${choice}`;
};

// The report is as high as its content, so that the page scrolls as one.
const fitReport = () => {
  const content = $("report").contentDocument.documentElement;
  const fit = () => { $("report").style.height = `${Math.ceil(content.getBoundingClientRect().height) + 2}px`; };
  new ResizeObserver(fit).observe(content);
  fit();
};

const showWaiting = (job) => {
  setTitle(`Planning ${titleOf(job)}`);
  $("running").hidden = false;
  showStage(job, $("stage"), $("progress"));
};

const showDone = async (job) => {
  setTitle(`${gpus(job.summary.gpus)} for ${adapters(job.summary.adapters)}`);
  document.title = `${titleOf(job)}: ${document.title}`;
  $("cards").replaceChildren(cards(cardsOf(job.summary)));
  const stacks = await call("/v1/stacks");
  options($("stack"), [["plan", "the plan (YAML)"], ["report", "the report (HTML)"], ...stacks.map((name) => [name, STACKS[name] ?? name])]);
  setDownload();
  $("compare").href = `/compare?a=${id}`;
  $("alone").href = `${path}/report`;
  $("tools").hidden = false;
  $("report").addEventListener("load", fitReport);
  $("report").src = `${path}/report`;
  $("report").hidden = false;
};

const showEndWithoutPlan = (job) => {
  const entries = kept();
  const isOwn = entries?.planId === id;
  if (job.state === "failed" && job.failure.kind === "input" && isOwn) {
    location.replace(`/?edit=${id}`); // the form says what is wrong where it was entered
    return;
  }
  setTitle(job.state === "failed" ? `There is no plan for ${titleOf(job)}` : `Cancelled: ${titleOf(job)}`);
  $("change").hidden = false;
  if (isOwn && job.failure) $("change-link").href = `/?edit=${id}`;
  if (job.failure) fail(inWordsOfThePage(job.failure).message);
};

const show = async (job) => {
  $("error").hidden = true;
  $("about").textContent = [titleOf(job), job.hardware, when(job)].filter(Boolean).join(" · ");
  if (!hasEnded(job)) { showWaiting(job); return; }
  const wasFollowed = !$("running").hidden;
  $("running").hidden = true;
  if (job.state === "done" && comparedWith && wasFollowed) location.replace(`/compare?a=${comparedWith}&b=${id}`);
  else if (job.state === "done") await showDone(job);
  else showEndWithoutPlan(job);
  if (wasFollowed && $("error").hidden) $("title").focus();
};

const sayWhatFails = async (work) => {
  try {
    await work();
  } catch (error) { fail(error.message); }
};

const planAgain = async () => {
  const factor = $("factor");
  const isRight = factor.checkValidity();
  factor.toggleAttribute("aria-invalid", !isRight);
  $("again-error").hidden = isRight;
  if (!isRight) {
    $("again-error").textContent = `The traffic can be multiplied by ${factor.min} to ${factor.max}.`;
    factor.focus();
    return;
  }
  $("again").disabled = true;
  try {
    const next = await call(`${path}/again`, { method: "POST", body: { factor: Number(factor.value) } });
    location.assign(`/plans/${next.id}?compare=${id}`);
  } catch (error) {
    $("again-error").textContent = inWordsOfThePage(error).message;
    $("again-error").hidden = false;
  }
  $("again").disabled = false;
};

$("stack").addEventListener("change", setDownload);
$("print").addEventListener("click", () => $("report").contentWindow.print());
$("again").addEventListener("click", planAgain);
$("cancel").addEventListener("click", () => sayWhatFails(() => call(`${path}/cancel`, { method: "POST" })));

await sayWhatFails(async () => {
  const job = await call(path);
  await show(job);
  if (hasEnded(job)) return;
  follow(id, {
    changed: (next) => sayWhatFails(() => show(next)),
    interrupted: () => { $("stage").textContent = "The server does not answer; trying again."; },
    gone: (error) => fail(error.message),
  });
});
