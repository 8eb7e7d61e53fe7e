// A panel of a form: its fields, its bar with Run and Cancel, or both. Values are raw, as their controls
// hold them; the kernel says what they mean and what is wrong with them. Everything that came from data
// is set as text, never as HTML.

// The panels of each form: Run sends the values of all, since a state that is on its way may come late.
const forms = (globalThis.restifiedForms ??= new Map());
let ids = 0;

// While a mouse button is down nothing moves: what is pressed is what gets the click.
let pressed = false;
const waiting = new Set();
document.addEventListener("pointerdown", () => (pressed = true), true);
for (const end of ["pointerup", "pointercancel"]) {
  document.addEventListener(end, () => {
    pressed = false;
    setTimeout(() => {
      for (const later of waiting) later();
      waiting.clear();
    });
  }, true);
}
const whenReleased = (act) => (pressed ? waiting.add(act) : act());

/** An element with attributes, event handlers and children. */
function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "text") element.textContent = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const plainLine = (spec, options) => (id, changed) => {
  const input = make("input", {
    id,
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: spec.placeholder || (spec.emptyIsBlank && spec.blank) || null,
    ...options,
    oninput: () => changed(input.value),
  });
  const native = input.type;
  return {
    element: input,
    focus: input,
    show: (raw) => {
      const text = raw ?? "";
      if (input.value === text) return;
      if (input.type !== native) input.type = native;
      input.value = text;
      // a control of times holds no microseconds, and one of dates no text that is none: as text they are seen
      if (text && !input.value) {
        input.type = "text";
        input.value = text;
      }
    },
  };
};

/** The raw value of a control that shows nothing, while a wrong value from the address stands. */
const UNSET = "";
const NO_TEXT = new Set(["checkbox", "select", "several", "pair", "moment"]);

/** Controls by kind: each gives (id, changed) → {element, focus, show(raw)}. */
const controls = {
  text: (spec) => plainLine(spec, { spellcheck: "true" }),
  number: (spec) => plainLine(spec, { inputmode: spec.whole ? "numeric" : "decimal", class: "rm-number" }),
  password: (spec) => plainLine(spec, { type: "password", autocomplete: "new-password" }),
  date: (spec) => plainLine(spec, { type: "date", min: spec.minimum, max: spec.maximum }),
  time: (spec) => plainLine(spec, { type: "time", step: "any" }),
  datetime: (spec) => plainLine(spec, { type: "datetime-local", step: "any", min: spec.minimum, max: spec.maximum }),

  slider: (spec) => (id, changed) => {
    const line = plainLine(spec, { inputmode: spec.whole ? "numeric" : "decimal", class: "rm-number" })(id, (raw) => {
      range.value = raw;
      changed(raw);
    });
    const range = make("input", {
      type: "range",
      min: spec.minimum,
      max: spec.maximum,
      step: spec.step,
      // its name; what labels the text field beside it is no second label, so that each is found by its own
      title: `${spec.label}, slider from ${spec.minimum} to ${spec.maximum}`,
      oninput: () => {
        line.focus.value = range.value;
        changed(range.value);
      },
    });
    const show = (raw) => {
      line.show(raw);
      range.value = raw ?? "";
    };
    return { element: make("div", { class: "rm-slider" }, range, line.element), focus: line.focus, show };
  },

  color: (spec) => (id, changed) => {
    const line = plainLine(spec, {})(id, (raw) => {
      pick(raw);
      changed(raw);
    });
    /** Of text that is no such colour, as a name, the picker shows none: it has none but these. */
    const pick = (raw) => {
      const known = /^#[0-9a-f]{6}$/i.test(raw ?? "");
      if (known) picker.value = raw;
      picker.classList.toggle("rm-no-color", !known);
    };
    const picker = make("input", {
      type: "color",
      title: `${spec.label}, pick a colour`,
      oninput: () => {
        line.focus.value = picker.value;
        pick(picker.value);
        changed(picker.value);
      },
    });
    const show = (raw) => {
      line.show(raw);
      pick(raw);
    };
    return { element: make("div", { class: "rm-color" }, picker, line.element), focus: line.focus, show };
  },

  suggest: (spec) => (id, changed) => {
    const line = plainLine(spec, { list: `${id}-list` })(id, changed);
    const list = make("datalist", { id: `${id}-list` }, ...spec.choices.map((value) => make("option", { value })));
    return { ...line, element: make("div", { class: "rm-suggest" }, line.element, list) };
  },

  textarea: (spec) => (id, changed) => {
    const area = make("textarea", {
      id,
      rows: 4,
      spellcheck: spec.kind === "json" ? "false" : "true",
      class: spec.kind === "json" ? "rm-code" : null,
      placeholder: spec.placeholder || null,
      oninput: () => changed(area.value),
    });
    const show = (raw) => {
      if (area.value !== (raw ?? "")) area.value = raw ?? "";
    };
    return { element: area, focus: area, show };
  },
  json: (spec) => controls.textarea(spec),

  checkbox: (spec) => (id, changed) => {
    const box = make("input", { id, type: "checkbox", onchange: () => changed(box.checked) });
    const show = (raw) => {
      box.checked = Boolean(raw);
      box.indeterminate = raw === UNSET;
    };
    return { element: box, focus: box, show };
  },

  select: (spec) => (id, changed) => {
    const words = spec.blank || (spec.initial !== null ? null : spec.required ? "choose …" : "as in the notebook");
    const first = make("option", { value: "", text: words ?? "", hidden: words === null });
    const options = spec.choices.map((label, index) => make("option", { value: String(index), text: label }));
    const select = make(
      "select",
      { id, onchange: () => changed(select.value === "" ? null : select.value) },
      first,
      ...options,
      make("option", { value: "unset", text: "choose …", disabled: true, hidden: true }),
    );
    return { element: select, focus: select, show: (raw) => (select.value = raw === UNSET ? "unset" : raw ?? "") };
  },

  several: (spec) => (id, changed) => {
    const boxes = spec.choices.map((label, index) =>
      make("input", { type: "checkbox", value: String(index), onchange: () => changed(chosen()) }),
    );
    const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
    const element = make(
      "div",
      { class: "rm-several", role: "group", id, "aria-labelledby": `${id}-label` },
      ...boxes.map((box, index) => make("label", {}, box, spec.choices[index])),
    );
    const show = (raw) => boxes.forEach((box) => (box.checked = (raw ?? []).includes(box.value)));
    return { element, focus: boxes[0] ?? element, show, group: true };
  },

  pair: (spec) => parts(spec, [
    ["from", { inputmode: "decimal", class: "rm-number" }],
    ["to", { inputmode: "decimal", class: "rm-number" }],
  ]),
  moment: (spec) => parts(spec, [
    ["local time", { type: "datetime-local", step: "any" }],
    ["offset from UTC", { placeholder: "+01:00", size: 8 }],
  ]),

  /** The result of another form, which nobody types in. */
  linked: (spec) => (id) => {
    const shown = make("output", { id, class: "rm-linked" });
    return { element: shown, focus: shown, show: (raw) => (shown.textContent = raw ?? "") };
  },

  file: (spec) => upload(spec, null),
  table: (spec) => upload(spec, ".csv,text/csv"),
};

/** A control of several lines, each with its own label. */
const parts = (spec, described) => (id, changed) => {
  const lines = described.map(([, options], index) =>
    plainLine({ ...spec, placeholder: "", blank: "" }, options)(`${id}-${index}`, () =>
      changed(lines.map((line) => line.focus.value)),
    ),
  );
  const element = make(
    "div",
    { class: "rm-parts", role: "group", id, "aria-labelledby": `${id}-label` },
    ...lines.map((line, index) =>
      make("label", { for: `${id}-${index}` }, make("span", { text: described[index][0] }), line.element),
    ),
  );
  const show = (raw) => lines.forEach((line, index) => line.show((raw ?? [])[index]));
  return { element, focus: lines[0].focus, show, group: true };
};

/** A file is sent in pieces, since a message between page and kernel has a limit. */
const PIECE = 1 << 20;
const upload = (spec, accept) => (id, changed, send) => {
  const input = make("input", { id, type: "file", accept, onchange: () => read(input.files[0]) });
  const told = make("span", { class: "rm-told", role: "status" });
  const say = (what, more, buffers) => send({ do: "upload", field: spec.name, what, ...more }, buffers);
  const remove = make("button", { type: "button", class: "rm-link", text: "Remove", "aria-describedby": `${id}-label`,
    onclick: () => {
      latest = null;
      say("none");
      input.focus();
    } });
  let latest = null;
  async function read(file) {
    // each selection has an id of its own: pieces of a former one may still be on their way
    const selection = (latest = crypto.getRandomValues(new Uint32Array(2)).join("-"));
    if (!file) return say("none");
    const count = Math.max(1, Math.ceil(file.size / PIECE));
    say("begin", { selection, name: file.name });
    try {
      for (let index = 0; index < count && selection === latest; index++) {
        const piece = await file.slice(index * PIECE, (index + 1) * PIECE).arrayBuffer();
        if (selection === latest) say("piece", { selection, name: file.name, index, count }, [piece]);
      }
    } catch (error) {
      say("lost", { selection, why: error.message });
    }
  }
  const show = (raw) => {
    told.textContent = raw ?? "";
    remove.hidden = raw === null || raw === undefined;
    if (remove.hidden) input.value = "";
  };
  return { element: make("div", { class: "rm-file" }, input, told, remove), focus: input, show };
};

const NO_PLACEHOLDER = new Set(["date", "time", "datetime"]);

/** One field: label, control, help, and what is wrong. */
function fieldOf(spec, changed, send) {
  const id = `rm-${++ids}`;
  const control = controls[spec.kind](spec)(id, (raw) => {
    if (blank) blank.checked = false;
    changed(raw);
  }, send);
  const label = make(
    control.group ? "div" : "label",
    { class: "rm-label", id: `${id}-label`, for: control.group ? null : id },
    spec.label,
    // with spaces: the name of the control is this text
    ...(spec.unit ? [" ", make("span", { class: "rm-unit", text: spec.unit })] : []),
    ...(spec.required ? [" ", make("span", { class: "rm-required", text: "required" })] : []),
  );
  const notes = [spec.help, spec.hint].filter(Boolean).join(" ");
  const help = make("div", { class: "rm-help", id: `${id}-help`, text: notes, hidden: !notes });
  const error = make("div", { class: "rm-error", id: `${id}-error`, "aria-live": "polite" });
  const needsBlank = spec.blank && !spec.emptyIsBlank && spec.kind !== "select";
  const words = spec.computed ? `as in the notebook: ${spec.blank}` : spec.blank;
  const blank = needsBlank
    ? make("input", {
        type: "checkbox",
        "aria-label": `${spec.label}: ${words}`,
        onchange: () => changed(blank.checked ? null : control.empty ?? emptyOf(spec)),
      })
    : null;
  // a field of a date or a time shows no placeholder
  const hasPlaceholder = !control.group && !NO_PLACEHOLDER.has(spec.kind) && control.focus.placeholder === spec.blank;
  const saidByEmpty = spec.emptyIsNone ? "none" : spec.blank && !needsBlank && spec.kind !== "select" && spec.blank;
  const toldBeside = saidByEmpty && !hasPlaceholder;
  const element = make(
    "div",
    { class: `rm-field rm-kind-${spec.kind}`, "data-field": spec.name },
    label,
    make("div", { class: "rm-control" }, control.element),
    blank ? make("label", { class: "rm-blank" }, blank, words) : null,
    toldBeside ? make("div", { class: "rm-help rm-empty", id: `${id}-empty`, text: `Empty: ${saidByEmpty}` }) : null,
    help,
    error,
  );
  const inputs = [...element.querySelectorAll(".rm-control input, .rm-control select, .rm-control textarea")];
  for (const input of inputs) {
    if (!input.hasAttribute("aria-describedby")) input.setAttribute("aria-describedby", `${toldBeside ? `${id}-empty ` : ""}${id}-help ${id}-error`);
  }
  if (spec.required) control.focus.setAttribute("aria-required", "true"); // once, also of a group
  return {
    element,
    spec,
    focus: () => control.focus.focus(),
    show: (raw) => {
      control.show(raw);
      if (blank) blank.checked = raw === null;
      element.classList.toggle("rm-is-blank", Boolean(blank) && raw === null);
    },
    complain: (message) => {
      const text = message ? message[0].toUpperCase() + message.slice(1) + "." : "";
      if (error.textContent !== text) error.textContent = text;
      element.classList.toggle("rm-wrong", Boolean(message));
      for (const input of inputs) input.setAttribute("aria-invalid", String(Boolean(message)));
    },
  };
}

const emptyOf = (spec) => (spec.kind === "several" ? [] : ["pair", "moment"].includes(spec.kind) ? ["", ""] : "");

/** The fields of a panel, in the sections that they belong to. */
function fieldsOf(model, form) {
  const touched = new Set();
  const send = (message, buffers) => {
    if (message.what === "begin") forget(message.field); // until it is there nothing is wrong with it
    model.send(message, undefined, buffers);
  };
  const forget = (name) => {
    touched.delete(name);
    form.complained.delete(name);
  };
  const unseen = new Map(); // what was typed, and with which change, as long as the kernel has not seen it
  const change = (name) => (raw) => {
    const typed = model.get("typed") + 1;
    unseen.set(name, { raw, typed });
    model.set({ values: { ...model.get("values"), [name]: raw }, typed });
    model.save_changes();
  };
  /** Values of the kernel's that were on their way do not undo what was typed meanwhile. */
  function keepTyped() {
    const values = { ...model.get("values") };
    for (const [name, { raw, typed }] of unseen) {
      if (typed <= model.get("checked")) unseen.delete(name);
      else values[name] = raw;
    }
    model.set({ values });
  }
  const root = make("div", { class: "rm-fields" });
  let fields = [];
  function build() {
    root.replaceChildren();
    fields = model.get("fields").map((spec) => fieldOf(spec, change(spec.name), send));
    let section = null;
    let grid = null;
    for (const field of fields) {
      if (grid === null || field.spec.section !== section) {
        section = field.spec.section;
        grid = make("div", { class: "rm-grid" });
        root.append(section ? make("fieldset", {}, make("legend", { text: section }), grid) : grid);
      }
      grid.append(field.element);
      field.element.addEventListener("focusout", () => {
        touched.add(field.spec.name);
        complain();
      });
    }
    show();
  }
  function show() {
    keepTyped();
    const values = model.get("values");
    for (const field of fields) field.show(values[field.spec.name]);
    complain();
  }
  const complain = () => whenReleased(complainNow);
  function complainNow() {
    // of values that the kernel has not seen yet nothing is known
    const errors = model.get("checked") === model.get("typed") ? model.get("errors") : {};
    const all = form.attempted;
    for (const field of fields) {
      const name = field.spec.name;
      const told = name in errors && (all || touched.has(name) || form.complained.has(name) || form.problems.has(name));
      if (told) form.complained.add(name);
      else form.complained.delete(name);
      field.complain(told ? errors[name] : "");
    }
  }
  const hear = (message) => {
    if (message.do !== "there") return;
    touched.add(message.field);
    complain();
  };
  const heard = [["change:fields", build], ["change:values", show], ["change:errors", complain],
    ["change:checked", complain], ["msg:custom", hear]];
  for (const [event, act] of heard) model.on(event, act);
  const panel = { model, complain, root, first: () => fields.find((field) => field.spec.name in model.get("errors")) };
  form.panels.add(panel);
  build();
  const end = () => {
    for (const [event, act] of heard) model.off(event, act);
    form.panels.delete(panel);
    waiting.delete(complainNow);
  };
  return { root, end };
}

const seconds = (value) => (value < 60 ? `${value.toFixed(1)} s` : `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`);

const ASK = 3_000; // ms between two questions to a kernel from which something is awaited
const PATIENCE = 15_000; // ms after which a kernel that says nothing is told of

/** Watches whether the kernel answers: after a press, and while it runs. It asks nothing else of it. */
function watchOf(model, { awaited, tell }) {
  let asked = null; // when the first question was asked that has no answer yet
  let silent = false;
  let timer = null;
  function turn(now) {
    if (now === silent) return;
    silent = now;
    tell();
  }
  function look() {
    if (asked === null && !awaited()) {
      timer = clearInterval(timer) ?? null;
      return;
    }
    asked ??= performance.now();
    if (performance.now() - asked > PATIENCE) turn(true);
    try {
      model.send({ do: "ping" });
    } catch {
      turn(true); // the page has no way to it any more
    }
  }
  /** Something was sent, or a run runs: an answer is awaited. */
  const expect = (sent = true) => {
    if (sent) asked ??= performance.now();
    timer ??= setInterval(look, ASK);
  };
  const heard = () => {
    asked = null;
    turn(false);
  };
  // Jupyter's own page, or Voila's, has lost the kernel, or learned that it died
  const lost = () => turn(true);
  model.on("comm_live_update", lost);
  const end = () => {
    model.off("comm_live_update", lost);
    clearInterval(timer);
  };
  return { expect, heard, end, isSilent: () => silent };
}

/** Run, Cancel, Reset; how far it is; what went wrong; downloads, presets, history. */
function barOf(model, form) {
  const watch = watchOf(model, { awaited: () => model.get("bar").state === "running", tell: () => show() });
  const send = (message) => {
    model.send(message);
    watch.expect();
  };
  const run = make("button", { type: "submit", class: "rm-button rm-run", text: "Run" });
  const cancel = make("button", { type: "button", class: "rm-button", text: "Cancel", onclick: () => {
    if (cancel.getAttribute("aria-disabled") !== "true") send({ do: "cancel" });
  } });
  const reset = make("button", { type: "button", class: "rm-button", text: "Reset", onclick: () => {
    form.attempted = false;
    form.complained.clear();
    send({ do: "reset" });
  } });
  const status = make("span", { class: "rm-status", role: "status" });
  const elapsed = make("span", { class: "rm-elapsed", "aria-hidden": "true" });
  const stale = make("span", { class: "rm-stale", text: "Values have changed since this result." });
  const fill = make("div", { class: "rm-fill" });
  const progress = make("div", { class: "rm-progress", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0 }, fill);
  const alert = make("div", { class: "rm-alert", role: "alert" });
  const tools = make("div", { class: "rm-tools" });
  const downloads = make("span", { class: "rm-downloads" });
  const history = make("details", {}, make("summary", { text: "History" }), make("ol", { class: "rm-history" }));
  const presets = presetsOf(model, form, send);
  tools.append(downloads, presets.element, history);
  const root = make(
    "div",
    { class: "rm-bar" },
    make("div", { class: "rm-actions" }, run, cancel, reset,
      make("span", { class: "rm-said" }, status, elapsed)),
    progress,
    stale,
    alert,
    tools,
  );

  let since = 0;
  let timer = null;
  const tick = () => (elapsed.textContent = seconds((performance.now() - since) / 1000));

  function show() {
    const bar = model.get("bar");
    const silent = watch.isSilent();
    const running = bar.state === "running";
    if (running) watch.expect(false);
    root.dataset.state = silent ? "silent" : bar.state;
    run.setAttribute("aria-disabled", String(running));
    cancel.setAttribute("aria-disabled", String(!running));
    const message = silent ? "No answer" : bar.message;
    if (status.textContent !== message) status.textContent = message;
    since = performance.now() - bar.seconds * 1000;
    if (running && timer === null) timer = setInterval(tick, 100);
    if (!running && timer !== null) timer = clearInterval(timer) ?? null;
    elapsed.hidden = !running || silent;
    if (running) tick();
    progress.classList.toggle("rm-quiet", !running || silent);
    progress.setAttribute("aria-valuemax", bar.total);
    progress.setAttribute("aria-valuenow", bar.done);
    fill.style.width = `${bar.total ? (100 * bar.done) / bar.total : 0}%`;
    stale.hidden = !bar.stale;
    showError(bar, silent);
    downloads.replaceChildren(...bar.downloads.map(({ what, label }) =>
      make("button", { type: "button", class: "rm-link", text: label, onclick: () => send({ do: "download", what }) })));
    history.hidden = bar.history.length === 0;
    history.querySelector("ol").replaceChildren(...bar.history.map((past) =>
      make("li", { value: past.number }, make("span", { text: past.text }),
        make("button", { type: "button", class: "rm-link", text: "Use these values",
          "aria-label": `Use the values of run ${past.number}`, onclick: () => send({ do: "again", number: past.number }) }))));
    presets.show(bar.presets);
    const problems = Object.keys(bar.problems);
    if (problems.join() !== [...form.problems].join()) {
      form.problems = new Set(problems);
      for (const panel of form.panels) panel.complain();
    }
    if (bar.attempt === form.attempt) return;
    const isNew = form.attempt === null; // displayed after an attempt, which moves no focus
    form.attempt = bar.attempt;
    if (bar.attempt === 0 || Object.keys(bar.problems).length === 0) return;
    if (isNew) form.reveal();
    else form.pointAtProblems();
  }

  // values from the address were not typed: what is wrong with them is told at once
  if (model.get("bar").reveal) form.reveal();

  let shown = null;
  function showError(bar, silent) {
    const key = JSON.stringify([bar.error, bar.complaints, silent]);
    if (key === shown) return; // what is open stays open, and nothing is announced twice
    shown = key;
    alert.replaceChildren();
    alert.hidden = !silent && !bar.error && bar.complaints.length === 0;
    if (silent) alert.append(make("strong", { text: "The kernel does not answer. If it has ended, reload the page." }));
    if (bar.error) {
      const { title, where, line, traceback, open } = bar.error;
      alert.append(
        make("strong", { text: title }),
        where ? make("div", { class: "rm-where", text: where }) : "",
        line ? make("pre", { text: line }) : "",
        traceback ? make("details", { open }, make("summary", { text: "Traceback" }), make("pre", { text: traceback })) : "",
      );
    }
    for (const text of bar.complaints) alert.append(make("div", { text }));
  }

  const changed = () => {
    watch.heard();
    show();
  };
  const hear = (message, buffers) => {
    watch.heard();
    // a form that is displayed twice saves a file once
    if (message.do === "save" && form.isFirst(root)) save(message.name, message.type, buffers[0]);
  };
  model.on("change:bar", changed);
  model.on("msg:custom", hear);
  form.bars.add(root);
  show();
  const end = () => {
    model.off("change:bar", changed);
    model.off("msg:custom", hear);
    watch.end();
    form.bars.delete(root);
    if (timer !== null) timer = clearInterval(timer) ?? null;
  };
  return { root, end, send };
}

/** The browser's own download of bytes that the kernel sent. */
function save(name, type, buffer) {
  const url = URL.createObjectURL(new Blob([buffer], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Sets of values: the author's, which the kernel knows, and the visitor's own, which the browser keeps. */
function presetsOf(model, form, send) {
  const key = `restified_magics:${model.get("bar").keep}`;
  const own = () => {
    try {
      return JSON.parse(localStorage.getItem(key) ?? "{}");
    } catch {
      return {};
    }
  };
  const keep = (all) => {
    try {
      localStorage.setItem(key, JSON.stringify(all));
    } catch {
      name.setCustomValidity("This browser keeps nothing for this page.");
      name.reportValidity();
    }
  };
  const list = make("ul", { class: "rm-presets" });
  const name = make("input", { type: "text", placeholder: "name", "aria-label": "Save as preset", size: 12,
    onkeydown: (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        add();
      }
    } });
  const add = () => {
    const called = name.value.trim();
    if (!called) return name.focus();
    keep({ ...own(), [called]: form.kept() });
    name.value = "";
    show(model.get("bar").presets);
  };
  const saving = make("div", { class: "rm-save" }, name,
    make("button", { type: "button", class: "rm-link", text: "Save these values", onclick: add }));
  // while it is closed its text field is not there: labels of the page are those of the parameters
  const element = make("details", { ontoggle: () => (element.open ? element.append(saving) : saving.remove()) },
    make("summary", { text: "Presets" }), list);
  function show(given) {
    const mine = own();
    list.replaceChildren(
      ...given.map((called) => make("li", {},
        make("button", { type: "button", class: "rm-link", text: called, onclick: () => send({ do: "preset", name: called }) }))),
      ...Object.keys(mine).map((called) => make("li", {},
        make("button", { type: "button", class: "rm-link", text: called, onclick: () => send({ do: "kept", values: mine[called] }) }),
        make("button", { type: "button", class: "rm-link rm-forget", text: "×", "aria-label": `Forget ${called}`, onclick: () => {
          const { [called]: _, ...rest } = own();
          keep(rest);
          show(model.get("bar").presets);
        } }))),
    );
  }
  return { element, show };
}

/** What the panels of one form have in common. */
function formOf(id) {
  if (!forms.has(id)) {
    const form = {
      panels: new Set(),
      attempted: false,
      attempt: null,
      bars: new Set(),
      place: null, // where Run was pressed, if the form is displayed several times
      isFirst: (bar) => form.bars.values().next().value === bar,
      complained: new Set(),
      problems: new Set(), // the fields that the status speaks of
      values() {
        const all = {};
        for (const { model } of form.panels) Object.assign(all, model.get("values"));
        return all;
      },
      /** What the browser may keep: no secrets, and choices by what they are called. */
      kept() {
        const all = {};
        for (const { model } of form.panels) {
          for (const spec of model.get("fields")) {
            const raw = model.get("values")[spec.name];
            if (spec.secret || spec.kind === "linked" || (raw === UNSET && NO_TEXT.has(spec.kind))) continue;
            if (spec.kind === "select" && raw !== null) all[spec.name] = spec.choices[raw];
            else if (spec.kind === "several") all[spec.name] = (raw ?? []).map((index) => spec.choices[index]);
            else all[spec.name] = raw;
          }
        }
        return all;
      },
      reveal() {
        form.attempted = true;
        for (const panel of form.panels) panel.complain();
      },
      pointAtProblems() {
        form.attempted = true;
        for (const panel of form.panels) panel.complain();
        const seen = [...form.panels].filter((panel) => panel.root.getClientRects().length && panel.first());
        const here = seen.find((panel) => form.place?.contains(panel.root));
        (here ?? seen[0])?.first().focus();
      },
    };
    forms.set(id, form);
  }
  return forms.get(id);
}

export default {
  render({ model, el }) {
    const form = formOf(model.get("group"));
    el.classList.add("restified-panel");
    const bar = model.get("bar") !== null;
    const parts = [];
    const root = make(bar ? "form" : "div", {
      class: "rm-form",
      novalidate: bar,
      "aria-label": bar ? model.get("name") : null,
      "data-lm-suppress-shortcuts": "true", // Jupyter's keys are not for who types here
      onsubmit: (event) => {
        event.preventDefault();
        form.place = root.closest(".restified-form");
        if (model.get("bar").state !== "running") parts.at(-1).send({ do: "run", values: form.values() });
      },
    });
    if (model.get("fields").length) parts.push(fieldsOf(model, form));
    if (bar) parts.push(barOf(model, form));
    root.append(...parts.map((part) => part.root));
    el.append(root);
    return () => {
      for (const part of parts) part.end();
      if (form.panels.size === 0 && form.bars.size === 0) forms.delete(model.get("group"));
    };
  },
};
