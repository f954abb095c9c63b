// What the second of two plans has that the first has not, in a sentence.
import { adapters, gpus, lowestHeadroom, number, safetyOf } from "./common.js";

const NEARLY = 1e-6;
const fleetOf = ({ title }) => (title ?? "").replace(/ × [\d.e+-]+$/, ""); // a title ends with the factor on the traffic

function traffic(first, second) {
  const [before, after] = [first.summary.request_rate, second.summary.request_rate];
  const ratio = after / before;
  if (Math.abs(ratio - 1) < NEARLY) return "";
  const isSameFleet = fleetOf(first) === fleetOf(second) && first.summary.adapters === second.summary.adapters;
  return isSameFleet ? `traffic × ${number(ratio)}` : `${number(after)} instead of ${number(before)} requests/s`;
}

function gpuCount(first, second) {
  const more = second.summary.gpus - first.summary.gpus;
  if (!more) return `as many GPUs (${first.summary.gpus.toLocaleString("en")})`;
  return `${gpus(Math.abs(more))} ${more > 0 ? "more" : "fewer"} (${second.summary.gpus} instead of ${first.summary.gpus})`;
}

function price({ summary: first }, { summary: second }) {
  if (typeof first.cost_per_hour !== "number" || typeof second.cost_per_hour !== "number") return "";
  if (first.currency !== second.currency) return "";
  const more = second.cost_per_hour - first.cost_per_hour;
  if (Math.abs(more) < 0.005) return "the same price";
  return `${Math.abs(more).toFixed(2)} ${second.currency ?? ""}/h ${more > 0 ? "more" : "less"}`.replace(" /h", " per hour");
}

function instead(what, before, after) {
  return before === after ? "" : `${what} ${after} instead of ${before}`;
}

export function differences(first, second) {
  const [one, other] = [first.summary, second.summary];
  const parts = [
    one.adapters === other.adapters ? "" : `${adapters(other.adapters)} instead of ${one.adapters.toLocaleString("en")}`,
    traffic(first, second),
    first.hardware === second.hardware ? "" : "another GPU or model",
    gpuCount(first, second),
    price(first, second),
  ];
  const quality = [
    instead("lowest headroom", lowestHeadroom(one), lowestHeadroom(other)),
    instead("safe:", safetyOf(one).answer, safetyOf(other).answer),
  ];
  return `Second plan: ${[parts, quality].map((each) => each.filter(Boolean).join(", ")).filter(Boolean).join("; ")}.`;
}
