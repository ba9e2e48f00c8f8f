// The form of one section of a song, by the names of the fields of a plan.

const NUMBERS = ["bars", "seed", "bpm", "density", "brightness", "drums", "strength"];
const NEEDED = ["name", "bars", "prompt"];

export class SectionForm {
  constructor(form, root, { onChange, onAction }) {
    this.form = form;
    this.inputs = [...form.querySelectorAll("input")];
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

  // `section`: its fields in the plan; undefined hides the form.
  show(name, section, times) {
    this.form.hidden = !section;
    if (!section) return;
    // What is being written just now stays; the rest is as the server has it.
    const written = this.name === name ? document.activeElement : null;
    this.name = name;
    this.section = section;
    const values = { ...section, name };
    for (const input of this.inputs) {
      if (input !== written) input.value = values[input.name] ?? "";
    }
    const own = section.anchor?.startsWith("own-");
    this.sound.hidden = !own;
    if (own) Object.assign(this.sound, { href: `${this.root}/jam/own/${section.anchor}`, download: `${section.anchor}.flac` });
    this.note.textContent = times > 1 ? `It comes ${times} times: a change is heard in all.` : "";
  }

  canJump(can) {
    this.form.querySelector("[data-do=jump]").disabled = !can;
  }

  // The section with what stands in the form. What is left empty is as the song has it.
  values() {
    const values = { ...this.section };
    for (const { name, value } of this.inputs) {
      const text = value.trim();
      const number = NUMBERS.includes(name) && text !== "" && !Number.isNaN(Number(text));
      values[name] = number ? Number(text) : text;
      if (!text && !NEEDED.includes(name)) delete values[name];
    }
    if (!values.prompt_b) ["seed_b", "negative_b", "blend"].forEach((name) => delete values[name]);
    return values;
  }
}
