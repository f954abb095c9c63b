// Keeps what was entered in the form as long as its tab is open, so that one can go back and change it.

const KEY = "adaptwin-form";

const fieldsOf = (form) => [...form.elements].filter(({ id, type }) => id && type !== "file" && type !== "submit");

// `more`: what else belongs to the entries, such as the plan that was asked for with them.
export function keep(form, more) {
  const values = Object.fromEntries(fieldsOf(form).map(({ id, value }) => [id, value]));
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ values, ...more }));
  } catch {
    sessionStorage.removeItem(KEY); // a browser keeps some megabytes only
  }
}

export const kept = () => JSON.parse(sessionStorage.getItem(KEY) ?? "null");

export function restore(form, { values }) {
  for (const field of fieldsOf(form)) if (field.id in values) field.value = values[field.id];
}
