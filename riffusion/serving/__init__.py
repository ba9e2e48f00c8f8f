"""The web page and the HTTP API.

server     serves the page, the API and MCP on one port
page       the Gradio page; form and pickers are its controls
links      links to the page: the values of its form as text
jams       routes of jams: start, stream, change, download
songs      routes of songs: plan, check, render
images     routes that turn spectrogram images into sound
api        routes of clips and of the library, and the original's endpoint
mcp        the same for gradio_client and MCP
openapi    the API's own description
"""
