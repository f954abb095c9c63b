// The text of a fleet: examples of it, which kind of file it is, and whether it is text at all.

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

export const EXAMPLES = { small: () => example(20, 6), tenants: () => example(200, 40) };

export function guessFormat(name, text) {
  if (/\.ya?ml$/i.test(name)) return "yaml";
  if (/\.(jsonl|log)$/i.test(name)) return "log";
  if (/^\s*\{/.test(text)) return text.includes('"adapters"') ? "yaml" : "log";
  const [head] = text.trimStart().split("\n", 1);
  const columns = head.split(/[,;\t]/).map((column) => column.trim().replaceAll('"', "").toLowerCase());
  if (columns.includes("name") || columns.includes("rank")) return "csv";
  if (/^[\w-]+:/m.test(text)) return "yaml";
  return columns.length > 1 ? "log" : "csv";
}

// What is wrong with a file as a text; empty if nothing is.
export function notText(text) {
  if (text.includes("\0")) return "This is not a text file: save the sheet as CSV.";
  return text.includes("\uFFFD") ? "This is not a text file in UTF-8: save the sheet as CSV UTF-8." : "";
}
