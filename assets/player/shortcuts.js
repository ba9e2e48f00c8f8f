// The keys of the page.

// Space belongs to these elements where one of them has the focus.
const TAKES_SPACE =
  "input, textarea, select, button, a, audio, summary, [contenteditable], [role=slider]";

// Call `action` when somebody presses Space, but not to write or to press a button.
export function onSpace(action) {
  document.addEventListener("keydown", (event) => {
    if (event.code !== "Space" || event.repeat || event.target.closest?.(TAKES_SPACE)) return;
    event.preventDefault();
    action();
  });
}
