// Follows a plan until it has ended, as the server tells of it.
import { call } from "./common.js";

const AGAIN_AFTER = 2000; // ms
const ENDED = new Set(["done", "failed", "cancelled"]);

export const hasEnded = ({ state }) => ENDED.has(state);

// Calls `changed` with the plan at each change, `interrupted` while the server does not answer, and `gone` with the
// reason if nothing more can be learnt.
export function follow(id, { changed, interrupted, gone }) {
  const source = new EventSource(`/v1/plans/${id}/events`);
  source.onmessage = ({ data }) => {
    const job = JSON.parse(data);
    if (hasEnded(job)) source.close();
    changed(job);
  };
  source.onerror = async () => {
    if (source.readyState !== EventSource.CLOSED) { interrupted(); return; } // the browser tries again by itself
    try {
      const job = await call(`/v1/plans/${id}`);
      changed(job);
      if (!hasEnded(job)) setTimeout(() => follow(id, { changed, interrupted, gone }), AGAIN_AFTER);
    } catch (error) { gone(error); }
  };
}

export function showStage(job, stage, progress) {
  if (job.state === "queued") {
    stage.textContent = job.ahead ? `waiting (asked for earlier and waiting too: ${job.ahead})` : "waiting";
  } else if (job.stage) stage.textContent = job.stage.name;
  else stage.textContent = "starting";
  if (job.stage) Object.assign(progress, { max: job.stage.total || 1, value: job.stage.done });
  else progress.removeAttribute("value");
}
