// Gradio runs this script when the player appears; `element` and `trigger` come from Gradio.
// trigger("play") lets the page answer with the values of its form, riffusionPlayer.play(values),
// and trigger("input") lets it switch Hold on or off.
const root = (window.gradio_config?.root ?? window.location.origin).replace(/\/$/, "");
import(root + "/jam/player/player.js").then(({ mount }) =>
  mount(element.querySelector(".riff"), root, trigger),
);
