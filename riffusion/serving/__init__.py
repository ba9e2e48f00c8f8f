"""The web page, the HTTP API and the tools for agents, on one port.

server        serves the page, the API and MCP
memory        freed memory goes back to the system
warm_up       the first clips of an engine, made while the page loads
page          the Gradio page
form          the controls of the page, built from the schema of settings
controls      the component that fits one setting
prompt_form   the controls of the prompts
pickers       the controls that choose anchors and a mask
live_buttons  the player's buttons for what is done while a jam plays
section_form  the inputs for a section of a song, built from the schema of settings
links         links to the page: the values of its form as text
api           all routes: those below, the API's own description, the health check
routes        what all routes do: limits, JSON, errors in words
services      what all routes share
jams          routes of jams and live songs: start, stream, change, download
jam_messages  the requests of those routes
protocol      the frames and records in which audio and events travel
uploads       routes of uploaded sounds and masks, and their store
openings      the route of recordings that jams go on from
opening_form  the controls for such a recording
songs         routes of songs: plan, check, render
plans         reads each plan once
clips         routes of single clips, and the original's endpoint
requests      the request for a clip, built from the schema of settings
responses     the data models of responses
images        the route that turns spectrogram images into sound
library       routes of anchors and masks
downloads     the track and the clips of a stream as files
files         audio and images in the body of a response
data_urls     files inside JSON
mcp           the same functions for gradio_client and MCP
openapi       the API's own description
cors          which routes pages of other sites may ask
"""
