"""The server: the web page, the HTTP API and MCP.

server        serves the page, the API and MCP on one port
page          the Gradio page; form and pickers are its controls
api           all routes: those below, the API's own description, the health check
jams          routes of jams and live songs: start, stream, change, download
jam_messages  their requests; protocol has the frames and records they send
uploads       routes of uploaded sounds and masks, and their store
songs         routes of songs: plan, check, render; plans reads each plan once
clips         routes of single clips, and the original's endpoint; requests reads them
images        the route that turns spectrogram images into sound
library       routes of anchors and masks
routes        what all routes do: limits, JSON, errors in words
services      what all routes share
responses     data models of responses; files, downloads and data_urls are their contents
mcp           the same for gradio_client and MCP
openapi       the API's own description
cors          which routes pages of other sites may ask
"""
