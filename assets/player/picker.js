// A picker chooses what clips start from, or which part of it is played anew: an entry of the
// library, or an upload. `props.value` is the name of the choice, "" for nothing; `trigger` tells
// the page: "change" for any change, "input" for one made by hand. `watch` says when the page
// chose.

import { post } from "./http.js";

export const MAX_BYTES = 11 * 2 ** 20;     // as a data URL it has a third more, and the server takes 16 MB
export const TOO_LONG = "That file has over 11 MB: cut it, or save it as MP3.";

export function mount({ element, props, trigger, watch }, root) {
  const picker = element.querySelector(".riff-picker");
  const choices = picker.querySelectorAll("input[type=radio]");
  const uploaded = picker.querySelector(".riff-own");
  const status = picker.querySelector("[role=status]");

  function showChoice() {
    if (props.value?.startsWith("own-")) showUploaded(props.value);
    for (const choice of choices) choice.checked = choice.value === (props.value ?? "");
  }

  function showUploaded(name) {
    uploaded.querySelector("input[type=radio]").value = name;
    uploaded.hidden = false;
  }

  function choose(name) {
    props.value = name;
    showChoice();
    trigger("input");
    trigger("change");
  }

  async function upload(file) {
    if (file.size > MAX_BYTES) throw new Error(TOO_LONG);
    status.textContent = `Reading ${file.name}…`;
    const data = await readDataUrl(file);
    const { name } = await post(`${root}/jam/own`, { kind: picker.dataset.kind, data }, false);
    showUploaded(name);
    uploaded.querySelector("span").textContent = file.name;
    uploaded.querySelector("audio, img").src = `${root}/jam/own/${name}`;
    choose(name);
    status.textContent = "";
  }

  for (const media of picker.querySelectorAll("[data-src]")) media.src = root + media.dataset.src;
  picker.addEventListener("change", ({ target }) => {
    if (target.type === "radio") return choose(target.value);
    const [file] = target.files;
    target.value = "";
    if (file) upload(file).catch((error) => (status.textContent = error.message));
  });
  // Two previews at a time are noise.
  const pauseOthers = ({ target }) => {
    const previews = document.querySelectorAll(".riff-picker audio");
    for (const audio of previews) if (audio !== target) audio.pause();
  };
  picker.addEventListener("play", pauseOthers, true);
  watch("value", showChoice);
  showChoice();
}

export function readDataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error("The browser cannot read that file."));
    reader.readAsDataURL(file);
  });
}
