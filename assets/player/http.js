// This module asks the server with JSON over HTTP.

const NO_ANSWER = "The server did not answer. Is it still running?";

// Post a message and return the server's answer. The error that this throws has the server's
// words, and in `field` the name of the setting that was refused, if the server named one.
// Browsers send no more than 64 kB of what is to survive the page: `keepalive` false is for more.
export async function post(url, message, keepalive = true) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(message),
    keepalive,
  });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const { error = NO_ANSWER, field = "" } = answer;
  throw Object.assign(new Error(error), { field });
}
