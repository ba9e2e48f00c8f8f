// Gradio runs this script when a picker appears; `element`, `props`, `trigger` and `watch` come
// from Gradio.
const root = (window.gradio_config?.root ?? window.location.origin).replace(/\/$/, "");
import(root + "/jam/player/picker.js").then(({ mount }) =>
  mount({ element, props, trigger, watch }, root),
);
