// The timeline shows the sections of a song as coloured blocks, as wide as they are long. A click
// selects a block, a drag moves it to another place, and a line shows where the song is.

const DRAG_PX = 6;          // a shorter way is a click
// The golden angle keeps the hues of neighbours far apart.
const hue = (number) => (25 + number * 137.5) % 360;

export class Timeline {
  selected = null;          // the index of a block

  constructor(element, { onSelect, onMove }) {
    this.element = element;
    this.onSelect = onSelect;
    this.onMove = onMove;
    this.line = document.createElement("i");
    this.line.className = "riff-playhead";
    element.addEventListener("pointerdown", (event) => this.press(event));
    element.addEventListener("click", (event) => {
      // A key on a block clicks it without any pointer.
      if (event.detail === 0) this.onSelect(this.blocks.indexOf(event.target.closest("button")));
    });
  }

  get blocks() {
    return [...this.element.querySelectorAll("button")];
  }

  // `sections`: { section, start_s, duration_s } in the order in which they play; `names`: each
  // name once. Blocks that are there are filled anew, so that none loses the keyboard's focus or
  // a drag.
  show(sections, names) {
    const kept = this.blocks.map((block) => block.parentElement);
    const items = sections.map((section, i) => fillItem(kept[i] ?? createItem(), section, names));
    kept.slice(items.length).forEach((item) => item.remove());
    this.element.append(...items.slice(kept.length), this.line);
    this.showPlayhead(null);
  }

  select(index) {
    this.selected = index;
    this.blocks.forEach((block, i) => block.setAttribute("aria-pressed", String(i === index)));
  }

  // Show the line at a share of the `index`-th section; null takes it away.
  showPlayhead(index, share) {
    const item = index === null ? null : this.element.children[index];
    this.line.hidden = !item || item === this.line;
    if (this.line.hidden) return;
    this.line.style.left = `${item.offsetLeft + share * item.offsetWidth}px`;
  }

  // A pointer went down on a block: when it goes up again that was a click or a drag.
  press(event) {
    const from = this.blocks.indexOf(event.target.closest("button"));
    if (from < 0 || event.button !== 0) return;
    const item = this.element.children[from];
    const follow = ({ clientX }) => {
      const moved = clientX - event.clientX;
      const drags = Math.abs(moved) > DRAG_PX;
      item.classList.toggle("riff-dragged", drags);
      item.style.transform = drags ? `translateX(${moved}px)` : "";
      return drags;
    };
    const release = (end) => {
      item.removeEventListener("pointermove", follow);
      item.removeEventListener("pointerup", release);
      item.removeEventListener("pointercancel", release);
      const drags = end.type === "pointerup" && follow(end);
      follow(event);
      if (end.type === "pointercancel") return;
      if (!drags) return this.onSelect(from);
      const to = this.findDropIndex(end.clientX, from);
      if (to !== from) this.onMove(from, to);
    };
    item.setPointerCapture(event.pointerId);
    item.addEventListener("pointermove", follow);
    item.addEventListener("pointerup", release);
    item.addEventListener("pointercancel", release);
  }

  // Return the new index of a block that is dropped at `x`: it comes after all other blocks whose
  // middle is left of `x`.
  findDropIndex(x, from) {
    const others = this.blocks.filter((_, i) => i !== from);
    return others.filter((block) => {
      const { left, width } = block.getBoundingClientRect();
      return left + width / 2 < x;
    }).length;
  }
}

function createItem() {
  const item = document.createElement("li");
  const block = document.createElement("button");
  block.type = "button";
  item.append(block);
  return item;
}

function fillItem(item, { section, duration_s }, names) {
  const block = item.firstElementChild;
  block.textContent = section;
  block.title = `${section}, ${duration_s.toFixed(0)} s`;
  item.style.flexGrow = duration_s;
  item.style.setProperty("--hue", hue(names.indexOf(section)));
  return item;
}
