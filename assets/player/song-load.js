// Gradio runs this script when the song appears; `element` comes from Gradio.
const root = (window.gradio_config?.root ?? window.location.origin).replace(/\/$/, "");
import(root + "/jam/player/song.js").then(({ mount }) =>
  mount(element.querySelector(".riff-song"), root),
);
