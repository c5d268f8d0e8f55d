// Forms of apps as modal dialogs. What was typed survives refusals and whatever happens to the post meanwhile.

import { make, set } from "./elements.js";

let count = 0;

/**
 * Show a form. `submit(values)` is called when the browser's own checks pass; afterwards call `refuse(errors, message)` or
 * `close()` on what is returned. `cancelled()` is called when the viewer closes it.
 */
export class FormDialog {
  #fields = [];
  #form;
  #note;
  #accept;
  #done = false;
  element;

  constructor(form, place, { submit, cancelled }) {
    const id = `sg-form-${++count}`;
    this.#note = make("p", { class: "sg-form-note", role: "alert" });
    this.#accept = make("button", { type: "submit", class: "sg-button", "data-appearance": "primary" }, form.accept_label || "Submit");
    const cancel = make("button", { type: "button", class: "sg-button" }, form.cancel_label || "Cancel");
    this.#form = make(
      "form",
      { class: "sg-form", novalidate: true },
      make("h2", { id }, form.title || "Form"),
      ...(form.description ? [make("p", { class: "sg-form-about" }, form.description)] : []),
      this.#note,
      make("div", { class: "sg-form-fields" }, ...(form.fields ?? []).map((field) => this.#field(field))),
      make("div", { class: "sg-form-ends" }, cancel, this.#accept),
    );
    this.element = make("dialog", { class: "sg-dialog", "aria-labelledby": id }, this.#form);
    const leave = () => {
      if (this.#done) return;
      this.close();
      cancelled();
    };
    cancel.addEventListener("click", leave);
    this.element.addEventListener("cancel", (event) => {
      event.preventDefault();
      leave();
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.sent || !this.#check()) return;
      this.#accept.ariaBusy = "true";
      submit(this.values());
    });
    place.append(this.element);
    this.element.showModal();
    this.#fields.find(({ inputs }) => !inputs[0].disabled)?.inputs[0].focus();
  }

  /** Whether it was submitted and nothing is known yet of what became of it. */
  get sent() {
    return this.#accept.ariaBusy === "true";
  }

  /** Fields left empty are left out; a select is always a list. */
  values() {
    const found = {};
    for (const { name, read, field } of this.#fields) {
      const value = field.disabled ? undefined : read();
      if (value !== undefined && value !== "") found[name] = value;
    }
    return found;
  }

  /** Take the submission back: *errors* by field name are shown there and announced, *message* above. */
  refuse(errors = {}, message = "") {
    this.#accept.ariaBusy = null;
    let first = null;
    for (const entry of this.#fields) {
      const text = errors[entry.name];
      this.#mark(entry, text);
      if (text) first ??= entry;
    }
    const others = Object.keys(errors).filter((name) => !this.#fields.some((entry) => entry.name === name));
    const marked = this.#fields.filter((entry) => errors[entry.name]).length;
    this.#note.textContent = [
      message || (marked > 1 ? `${marked} answers need another look.` : ""),
      ...others.map((name) => errors[name]),
    ].filter(Boolean).join(" ");
    first?.inputs[0].focus();
  }

  close() {
    this.#done = true;
    this.element.close();
    this.element.remove();
  }

  #check() {
    const errors = {};
    for (const { name, field, inputs, read } of this.#fields) {
      if (field.disabled) continue;
      const value = read();
      const empty = value === undefined || value === "" || (Array.isArray(value) && !value.length);
      if (field.type === "number" && inputs[0].validity.badInput) errors[name] = "This is not a number.";
      else if (field.required && field.type !== "boolean" && empty) errors[name] = field.type === "select" ? "Please choose." : "Please fill this in.";
      else if (!empty && field.min !== undefined && value < field.min) errors[name] = `At least ${field.min}.`;
      else if (!empty && field.max !== undefined && value > field.max) errors[name] = `At most ${field.max}.`;
      else if (field.type === "image" && !empty && !/^(https?:\/)?\//.test(value)) errors[name] = "This is not the address of an image.";
    }
    this.refuse(errors);
    return !Object.keys(errors).length;
  }

  #mark({ inputs, error, hints }, text = "") {
    error.textContent = text;
    for (const input of inputs) {
      set(input, "aria-invalid", text && "true");
      set(input, "aria-describedby", [...hints, ...(text ? [error.id] : [])].join(" ") || null);
    }
  }

  #field(field) {
    if (field.type === "group")
      return make(
        "fieldset",
        { class: "sg-group" },
        make("legend", {}, field.label || ""),
        ...(field.help_text ? [make("p", { class: "sg-help" }, field.help_text)] : []),
        ...(field.fields ?? []).map((inner) => this.#field(inner)),
      );
    const id = `sg-field-${++count}`;
    const { inputs, element, read } = control(field, id);
    const error = make("p", { class: "sg-error", id: `${id}-error` });
    const help = field.help_text && make("p", { class: "sg-help", id: `${id}-help` }, field.help_text);
    const entry = { name: field.name, field, inputs, read, error, hints: help ? [help.id] : [] };
    this.#fields.push(entry);
    this.#mark(entry);
    for (const input of inputs) input.addEventListener("input", () => error.textContent && this.#mark(entry));
    const caption = [field.label || field.name, ...(field.required ? [make("span", { class: "sg-required", "aria-hidden": "true" }, " *")] : [])];
    const label =
      inputs.length > 1
        ? make("fieldset", { class: "sg-choices" }, make("legend", {}, ...caption), element)
        : field.type === "boolean"
          ? make("label", { class: "sg-switch", for: id }, element, make("span", {}, ...caption))
          : make("label", { for: id }, ...caption);
    const whole = inputs.length > 1 || field.type === "boolean" ? [label] : [label, element];
    return make("div", { class: "sg-field" }, ...whole, ...(help ? [help] : []), error);
  }
}

function control(field, id) {
  const common = { id, disabled: field.disabled, "aria-required": field.required && "true" };
  const single = (input, read = () => input.value) => ({ inputs: [input], element: input, read });
  const value = field.default_value;
  switch (field.type) {
    case "paragraph": {
      const area = make("textarea", { ...common, rows: Math.min(field.line_height || 4, 12), placeholder: field.placeholder, dir: "auto" });
      area.value = value ?? "";
      return single(area);
    }
    case "number": {
      const { min, max, step = "any" } = field;
      const input = make("input", { ...common, type: "number", inputmode: "decimal", min, max, step });
      input.value = value ?? "";
      return single(input, () => (input.value === "" ? undefined : input.valueAsNumber));
    }
    case "boolean": {
      const input = make("input", { ...common, type: "checkbox", role: "switch" });
      input.checked = value === true;
      return single(input, () => input.checked);
    }
    case "select":
      return field.multi_select ? boxes(field, id, value ?? []) : menu(field, common, value ?? []);
    default: {
      const type = field.is_secret ? "password" : field.type === "image" ? "url" : "text";
      const placeholder = field.placeholder ?? (field.type === "image" ? "https://…" : undefined);
      const input = make("input", { ...common, type, placeholder, dir: "auto", autocomplete: field.is_secret ? "new-password" : "off" });
      input.value = value ?? "";
      return single(input);
    }
  }
}

function menu(field, common, chosen) {
  const options = field.options ?? [];
  const select = make(
    "select",
    common,
    make("option", { value: "" }, field.required ? "Choose…" : "None"),
    ...options.map(({ label }, index) => make("option", { value: index }, label)),
  );
  const at = options.findIndex(({ value }) => value === chosen[0]);
  select.value = at < 0 ? "" : String(at);
  return { inputs: [select], element: select, read: () => (select.value === "" ? [] : [options[select.value].value]) };
}

function boxes(field, id, chosen) {
  const inputs = (field.options ?? []).map(({ value }, index) => {
    const box = make("input", { type: "checkbox", id: index ? `${id}-${index}` : id, disabled: field.disabled });
    box.checked = chosen.includes(value);
    return box;
  });
  const rows = inputs.map((box, index) => make("label", { class: "sg-choice" }, box, make("span", {}, field.options[index].label)));
  const read = () => field.options.filter((_, index) => inputs[index].checked).map(({ value }) => value);
  return { inputs, element: make("div", {}, ...rows), read };
}
