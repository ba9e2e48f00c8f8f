// This form edits one section of a song. Its inputs have the names of the fields of a plan, and
// those that take numbers have an inputmode that says so.

const REQUIRED = ["name", "bars", "prompt"];

export class SectionForm {
  constructor(form, root, { onChange, onAction }) {
    this.form = form;
    this.inputs = [...form.querySelectorAll("input, select")];
    this.root = root;
    this.sound = form.querySelector(".riff-section-sound");
    this.note = form.querySelector(".riff-section-note");
    const changed = () => onChange(this.name, this.values());
    form.addEventListener("change", changed);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("click", ({ target }) => {
      const action = target.closest("[data-do]")?.dataset.do;
      if (action) onAction(action);
    });
  }

  // Show a section by its fields in the plan; undefined hides the form. `times`: how often the
  // section comes in the song.
  show(name, section, times) {
    this.form.hidden = !section;
    if (!section) return;
    // An input keeps what somebody writes into it just now; the others show what the server has.
    const written = this.name === name ? document.activeElement : null;
    this.name = name;
    this.section = section;
    const values = { ...section, name };
    for (const input of this.inputs) {
      if (input !== written) input.value = values[input.name] ?? "";
    }
    this.linkSound(section.anchor);
    this.note.textContent = times > 1 ? `It comes ${times} times: a change is heard in all.` : "";
  }

  // A section that was captured or starts from an upload has a sound that can be saved.
  linkSound(anchor) {
    const isUploaded = Boolean(anchor?.startsWith("own-"));
    this.sound.hidden = !isUploaded;
    if (!isUploaded) return;
    this.sound.href = `${this.root}/jam/own/${anchor}`;
    this.sound.download = `${anchor}.flac`;
  }

  setCanJump(canJump) {
    this.form.querySelector("[data-do=jump]").disabled = !canJump;
  }

  // Return the section with the values of the form. A field that is left empty takes the song's
  // value.
  values() {
    const values = { ...this.section };
    for (const { name, value, inputMode } of this.inputs) {
      const text = value.trim();
      const number = inputMode !== "" && text !== "" && !Number.isNaN(Number(text));
      values[name] = number ? Number(text) : text;
      if (!text && !REQUIRED.includes(name)) delete values[name];
    }
    if (!values.prompt_b) ["seed_b", "negative_b", "blend"].forEach((name) => delete values[name]);
    return values;
  }
}
