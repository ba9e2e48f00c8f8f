// Choosing what clips start from, or which part of it goes: one of the library, or the musician's
// own. `props.value` is the name of what is chosen, "" for nothing; `trigger` tells the page:
// "change" for any change, "input" for one made by hand. `watch` says when the page chose.

import { post } from "./transport.js";

const MOST_BYTES = 11 * 2 ** 20;    // as a data URL a third more, and the server takes 16 MB

export function mount({ element, props, trigger, watch }, root) {
  const picker = element.querySelector(".riff-picker");
  const choices = picker.querySelectorAll("input[type=radio]");
  const own = picker.querySelector(".riff-own");
  const ownChoice = own.querySelector("input[type=radio]");
  const status = picker.querySelector("[role=status]");

  function mark() {
    if (props.value?.startsWith("own-")) show(props.value);
    for (const choice of choices) choice.checked = choice.value === (props.value ?? "");
  }

  function show(name) {
    ownChoice.value = name;
    own.hidden = false;
  }

  function choose(name) {
    props.value = name;
    mark();
    trigger("input");
    trigger("change");
  }

  async function bring(file) {
    if (file.size > MOST_BYTES) throw new Error("That file has over 11 MB: cut it, or save it as MP3.");
    status.textContent = `Reading ${file.name}…`;
    const data = await dataUrl(file);
    const { name } = await post(`${root}/jam/own`, { kind: picker.dataset.kind, data }, false);
    show(name);
    own.querySelector("span").textContent = file.name;
    const preview = own.querySelector("audio, img");
    preview.src = `${root}/jam/own/${name}`;
    choose(name);
    status.textContent = "";
  }

  for (const media of picker.querySelectorAll("[data-src]")) media.src = root + media.dataset.src;
  picker.addEventListener("change", ({ target }) => {
    if (target.type === "radio") return choose(target.value);
    const [file] = target.files;
    target.value = "";
    if (file) bring(file).catch((error) => (status.textContent = error.message));
  });
  // Two previews at a time are noise.
  picker.addEventListener(
    "play",
    ({ target }) => picker.querySelectorAll("audio").forEach((one) => one !== target && one.pause()),
    true,
  );
  watch("value", mark);
  mark();
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error("The browser cannot read that file."));
    reader.readAsDataURL(file);
  });
}
