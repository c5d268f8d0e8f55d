// Forms of apps as modal dialogs. What was typed survives refusals.

import { button, make, set } from "./elements.js";

let count = 0;

export class FormDialog {
  #fields = []; // {field, inputs, read, error, help}
  #note = make("p", { class: "sg-form-note", role: "alert" });
  #accept;
  #dialog;

  constructor(form, place, submit, cancelled) {
    const id = `sg-form-${++count}`;
    this.#accept = button(form.accept_label || "Submit", { type: "submit", "data-appearance": "primary" });
    const cancel = button(form.cancel_label || "Cancel");
    const element = make(
      "form",
      { class: "sg-form", novalidate: true },
      make("h2", { id }, form.title || "Form"),
      make("p", { class: "sg-help" }, form.description ?? ""),
      this.#note,
      make("div", { class: "sg-form-fields" }, ...this.#all(form)),
      make("div", { class: "sg-form-ends" }, cancel, this.#accept),
    );
    this.#dialog = make("dialog", { class: "sg-dialog", "aria-labelledby": id }, element);
    const leave = (event) => {
      event.preventDefault();
      this.close();
      cancelled();
    };
    cancel.onclick = this.#dialog.oncancel = leave;
    element.onsubmit = (event) => {
      event.preventDefault();
      if (this.sent || !this.#check()) return;
      set(this.#accept, "aria-busy", "true");
      submit(this.#values());
    };
    place.append(this.#dialog);
    this.#dialog.showModal();
    this.#fields.find(({ field }) => !field.disabled)?.inputs[0].focus();
  }

  get sent() {
    return this.#accept.hasAttribute("aria-busy");
  }

  refuse(errors, message) {
    set(this.#accept, "aria-busy", null);
    const wrong = this.#fields.filter((entry) => mark(entry, errors[entry.field.name]));
    const names = this.#fields.map(({ field }) => field.name);
    const others = Object.keys(errors).filter((name) => !names.includes(name)).map((name) => errors[name]);
    const summary = message || (wrong.length > 1 && `${wrong.length} answers need another look.`);
    this.#note.textContent = [summary, ...others].filter(Boolean).join(" ");
    wrong[0]?.inputs[0].focus();
  }

  close() {
    this.#dialog.close();
    this.#dialog.remove();
  }

  #values() {
    const given = this.#fields.filter(({ field }) => !field.disabled).map(({ field, read }) => [field.name, read()]);
    return Object.fromEntries(given.filter(([, value]) => value !== ""));
  }

  #check() {
    const errors = {};
    for (const { field, inputs, read } of this.#fields) {
      const value = read();
      const isEmpty = value === "" || value.length === 0;
      const wrong = inputs[0].validity.badInput
        ? "This is not a number."
        : isEmpty
          ? field.required && (field.type === "select" ? "Please choose." : "Please fill this in.")
          : value < field.min
            ? `At least ${field.min}.`
            : value > field.max && `At most ${field.max}.`;
      if (wrong && !field.disabled) errors[field.name] = wrong;
    }
    this.refuse(errors);
    return !Object.keys(errors).length;
  }

  #all({ fields = [] }) {
    return fields.map((field) => (field.type === "group" ? this.#group(field) : this.#field(field)));
  }

  #group(group) {
    const help = make("p", { class: "sg-help" }, group.help_text ?? "");
    return make("fieldset", { class: "sg-group" }, make("legend", {}, group.label), help, ...this.#all(group));
  }

  #field(field) {
    const id = `sg-field-${++count}`;
    const { element, inputs = [element], read = () => element.value } = control(field, id);
    const error = make("p", { class: "sg-error", id: `${id}-error` });
    const help = make("p", { class: "sg-help", id: `${id}-help` }, field.help_text ?? "");
    const entry = { field, inputs, read, error, help };
    this.#fields.push(entry);
    mark(entry);
    element.addEventListener("input", () => mark(entry));
    const caption = [field.label, make("span", { class: "sg-required", "aria-hidden": "true" }, field.required ? " *" : "")];
    const isBoolean = field.type === "boolean";
    const parts = field.multi_select
      ? [make("fieldset", { class: "sg-choices" }, make("legend", {}, ...caption), element)]
      : isBoolean
        ? [make("label", { class: "sg-switch" }, element, make("span", {}, ...caption))]
        : [make("label", { for: id }, ...caption), element];
    return make("div", { class: "sg-field" }, ...parts, help, error);
  }
}

function mark({ inputs, error, help }, text = "") {
  error.textContent = text;
  for (const input of inputs) {
    set(input, "aria-invalid", text && "true");
    set(input, "aria-describedby", `${help.id} ${error.id}`);
  }
  return text;
}

function control(field, id) {
  const { type, default_value: value = "", placeholder, min, max, step = "any", options, disabled } = field;
  const common = { id, disabled, placeholder, dir: "auto", "aria-required": field.required && "true" };
  let element;
  if (type === "boolean") {
    element = make("input", { ...common, type: "checkbox", role: "switch" });
    element.checked = value;
    return { element, read: () => element.checked };
  }
  if (type === "select" && field.multi_select) {
    const inputs = options.map((option, i) => make("input", { type: "checkbox", id: `${id}-${i}`, disabled }));
    inputs.forEach((input, i) => (input.checked = value.includes(options[i].value)));
    const rows = inputs.map((input, i) => make("label", { class: "sg-choice" }, input, make("span", {}, options[i].label)));
    const read = () => options.filter((_, i) => inputs[i].checked).map((option) => option.value);
    return { element: make("div", {}, ...rows), inputs, read };
  }
  if (type === "select") {
    const choices = options.map(({ label }, i) => make("option", { value: i }, label));
    element = make("select", common, make("option", { value: "" }, field.required ? "Choose…" : "None"), ...choices);
    element.selectedIndex = 1 + options.findIndex((option) => value.includes(option.value));
    return { element, read: () => (element.value ? [options[element.value].value] : []) };
  }
  if (type === "paragraph") element = make("textarea", { ...common, rows: field.line_height || 4 });
  else if (type === "number") element = make("input", { ...common, type, min, max, step });
  else {
    const kind = field.is_secret ? "password" : type === "image" ? "url" : "text";
    element = make("input", { ...common, type: kind, autocomplete: field.is_secret ? "new-password" : "off" });
  }
  element.value = value;
  return { element, read: () => (type === "number" && element.value ? element.valueAsNumber : element.value) };
}
