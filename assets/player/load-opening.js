// Gradio runs this script when the controls for a recording appear; `element`, `props` and
// `trigger` come from Gradio.
const root = (window.gradio_config?.root ?? window.location.origin).replace(/\/$/, "");
import(root + "/jam/player/recording-opening.js").then(({ mount }) =>
  mount({ element, props, trigger }, root),
);
