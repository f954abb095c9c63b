// What things of the API are called on the pages, and its errors in these words.

export const OBJECTIVES = {
  "min-gpus": "the fewest GPUs", slo: "the fewest GPUs within the latency limits below", "min-cost": "the lowest price",
  "min-latency": "the lowest latency on given GPUs", "max-throughput": "the most throughput on given GPUs",
};
export const WHAT_APPLIES = {
  "min-gpus": "The limits on latency are kept where they are filled in.",
  slo: "It needs at least one limit on latency.",
  "min-cost": "It needs the price of a GPU per hour. The limits on latency are kept where they are filled in.",
  "min-latency": "It uses the given GPUs. Headroom and GPUs that may fail do not apply.",
  "max-throughput": "It uses the given GPUs, and adapters may be starved. Headroom and GPUs that may fail do not apply.",
};

export const STACKS = {
  vllm: "vLLM: commands", kubernetes: "Kubernetes: manifests", compose: "Docker Compose: one machine",
  litellm: "LiteLLM: configuration of the proxy", "production-stack": "vLLM production stack: Helm values",
  aibrix: "AIBrix: manifests", dynamo: "NVIDIA Dynamo: graph deployments", "llm-d": "llm-d: manifests",
  kserve: "KServe: inference services", kubeai: "KubeAI: models", "ray-serve": "Ray Serve LLM on KubeRay",
  "envoy-ai-gateway": "Envoy AI Gateway: routes", skypilot: "SkyPilot: services",
  csv: "CSV: tables of servers and adapters",
};

export const titleOf = ({ title }) => title || "adapters";

// Errors that a page can say better than the API, and the inputs that they are about.
const BETTER = [
  [/slo needs ttft/, 'Fill in "TTFT p99 at most" or "ITL p99 at most", or choose another objective.', ["ttft", "itl"]],
  [/^profile .* has none( \(.*?\))?: give it/, (_, typical = "") => `Fill in "Price of a GPU per hour"${typical}.`, ["price"]],
  [/^missing: name one in the file or with --profile/, 'Choose a GPU and a model in "Figures of": the fleet names none.', ["hardware"]],
  [/^(numbers up to .* are no dates).*time unit.*$/, '$1: choose their unit in "Times in the log are in".', ["time-unit"]],
  [/^(.* as the name says): give --time-unit.*$/, '$1: choose the unit in "Times in the log are in".', ["time-unit"]],
];

// Where the error of a field of the API belongs on the form; the first that matches.
const PLACES = [
  [/^(planning\.)?(objective|strategy)/, "objective"], [/^(planning\.)?gpus/, "gpus"], [/ttft/, "ttft"], [/itl/, "itl"],
  [/^(planning\.)?spare/, "spare"], [/^(planning\.)?headroom/, "headroom"], [/currency/, "currency"],
  [/^price/, "price"], [/^(profile|gpu|model)/, "hardware"], [/^rank$/, "rank"], [/^base_model/, "base"],
  [/^time_unit/, "time-unit"],
  [/^(fleet|adapters|arrivals|lengths|duration|rates_over_time|line|column|file)/, "text"],
];

// What only helps at the command line.
const withoutOptions = (message) => message
  .replace(/ \(--[^)]*\)/g, "")
  .replace(/ \(see 'adaptwin [^)]*\)/g, "")
  .replace(/--ttft-p99 (\S+?)([,;]|$)/g, '"TTFT p99 at most" of $1$2')
  .replace(/--itl-p99 (\S+?)([,;]|$)/g, '"ITL p99 at most" of $1$2')
  .replace(/,? (or )?with --[\w-]+/g, "");

// Return an error of the API in words of the pages, with the names of the inputs that it is about.
export function inWordsOfThePage({ message, field = "" }) {
  for (const [pattern, text, places] of BETTER) {
    const found = message.match(pattern);
    if (found) return { message: found[0].replace(pattern, text), places };
  }
  const place = PLACES.find(([pattern]) => pattern.test(field))?.[1];
  return { message: withoutOptions(message), places: place ? [place] : [] };
}
