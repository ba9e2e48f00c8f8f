// The buttons for what is done while a jam plays. Those of a momentary setting act once for each
// press, for as many bars as they say; a toggle shows the value of its control on the form. They
// emit these events:
//
//   press   { name, bars } of a momentary setting
//   toggle  the name of a setting that is to be switched on or off

import { Emitter } from "./emitter.js";
import { onLetters } from "./shortcuts.js";

export class LiveButtons extends Emitter {
  constructor(element) {
    super();
    this.momentary = [...element.querySelectorAll("[data-bars]")];
    this.toggles = [...element.querySelectorAll("[aria-pressed]")];
    element.addEventListener("click", ({ target }) => {
      const { name, bars } = target.closest("button")?.dataset ?? {};
      if (bars) this.emit("press", { name, bars: +bars });
      else if (name) this.emit("toggle", name);
    });
    onLetters(element);
  }

  // A song has no live buttons, and there is nothing to drop or fill before Play.
  showState({ isOn, isSong }) {
    for (const button of this.momentary) button.disabled = !isOn || isSong;
    for (const button of this.toggles) button.disabled = isOn && isSong;
  }

  // Show which toggles are on.
  showSettings(settings) {
    for (const button of this.toggles) {
      button.setAttribute("aria-pressed", String(Boolean(settings[button.dataset.name])));
    }
  }
}
