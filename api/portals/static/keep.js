// What was typed into a form with data-keep="name" outlives a reload, an ended session and "back", in this tab alone.

const nameOf = (form) => `yundan-keep-${form.dataset.keep}`;
const fieldsOf = (form) => [...form.elements].filter((one) => one.name && !["hidden", "file", "submit", "button", "password"].includes(one.type));

export function forget(form) {
  sessionStorage.removeItem(nameOf(form));
}

for (const form of document.querySelectorAll("form[data-keep]")) {
  const kept = JSON.parse(sessionStorage.getItem(nameOf(form)) ?? "{}");
  for (const field of fieldsOf(form)) {
    if (!(field.name in kept)) continue;
    if (field.type === "checkbox" || field.type === "radio") field.checked = kept[field.name] === field.value;
    else if (field.tagName !== "SELECT" || [...field.options].some((one) => one.value === kept[field.name])) field.value = kept[field.name];
  }
  form.addEventListener("input", () => {
    const now = fieldsOf(form).filter((one) => !["checkbox", "radio"].includes(one.type) || one.checked);
    const off = fieldsOf(form).filter((one) => one.type === "checkbox" && !one.checked);
    sessionStorage.setItem(nameOf(form), JSON.stringify(Object.fromEntries([...off.map((one) => [one.name, ""]), ...now.map((one) => [one.name, one.value])])));
  });
}
