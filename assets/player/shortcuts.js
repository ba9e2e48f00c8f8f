// The keys of the page.

// Space belongs to these elements where one of them has the focus.
const TAKES_SPACE =
  "input, textarea, select, button, a, audio, summary, [contenteditable], [role=slider]";

// Letters belong to these.
const TAKES_LETTERS =
  "input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable]";

// Press the button inside `element` whose aria-keyshortcuts names the key that somebody presses,
// but not to write.
export function onLetters(element) {
  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!/^[a-z]$/i.test(event.key) || event.target.closest?.(TAKES_LETTERS)) return;
    element.querySelector(`button[aria-keyshortcuts=${event.key.toUpperCase()}]`)?.click();
  });
}

// Call `action` when somebody presses Space, but not to write or to press a button.
export function onSpace(action) {
  document.addEventListener("keydown", (event) => {
    if (event.code !== "Space" || event.repeat || event.target.closest?.(TAKES_SPACE)) return;
    event.preventDefault();
    action();
  });
}
