"""The page's controls for a recording that the next jam goes on from: a file, or the microphone."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from riffusion.music.harmony import SHARP_NAMES, note_name
from riffusion.music.rhythm import MAX_BEATS, MAX_BPM, MIN_BEATS, MIN_BPM
from riffusion.serving.jams import PLAYER_FILES

Form = dict[str, Any]

HINT = (
    "A recording of yours sounds first, its last minute at most, and the jam goes on from its last "
    "bar line, in its time and key."
)
# The page's list has keys with flats.
LISTED = {
    note + mode: note_name(tonic, flats=True) + mode
    for tonic, note in enumerate(SHARP_NAMES)
    for mode in ("", "m")
}
HTML = f"""
<div class="riff-opening">
  <p>{HINT}</p>
  <label class="riff-bring">Choose a recording
    <input type="file" accept="audio/*" aria-label="A recording to go on from"></label>
  <button type="button" class="riff-microphone">Record eight seconds</button>
  <p role="status"></p>
  <div class="riff-heard" hidden>
    <p class="riff-words"></p>
    <audio controls preload="none" aria-label="The recording"></audio>
    <label>Tempo of the recording (bpm)
      <input type="number" name="bpm" min="{MIN_BPM:g}" max="{MAX_BPM:g}" step="any"></label>
    <label>Its beats in a bar
      <input type="number" name="beats" min="{MIN_BEATS}" max="{MAX_BEATS}" step="1"></label>
    <button type="button" class="riff-earlier">Bar line a beat earlier</button>
    <button type="button" class="riff-later">Bar line a beat later</button>
    <button type="button" class="riff-remove">Remove the recording</button>
  </div>
</div>
"""


def build_opening() -> Any:
    """Lay out the controls where the page is being built.

    The value of the component is what was heard: JSON of tempo, key and beats in a bar, or "".
    """
    with gr.Accordion("Go on from a recording", open=False, elem_id="opening-part"):
        return gr.HTML(
            "",
            html_template=HTML,
            js_on_load=(PLAYER_FILES / "load-opening.js").read_text(encoding="utf-8"),
            apply_default_css=False,
            elem_id="opening",
        )


def let_recordings_set_tempo(form: Form, opening: Any) -> None:
    """Let what is heard in a recording set tempo, key and metre of the form."""
    targets = [form["bpm"], form["key"], form["beats"]]
    fill = (
        "(heard, ...old) => { const [bpm, key, beats] = heard ? JSON.parse(heard) : []; "
        f"const listed = {json.dumps(LISTED)}; "
        "return [bpm ?? old[0], listed[key] ?? key ?? old[1], beats ?? old[2]]; }"
    )
    opening.input(None, [opening, *targets], targets, js=fill)
