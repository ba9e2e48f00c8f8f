// How a jam's sound and words travel: a WebSocket, or chunked HTTP where sockets are blocked.
//
//   onAudio(at, pcm)   samples from absolute sample `at`: ArrayBuffer of interleaved int16
//   onEvent(event)     a JSON message from the server
//   onClose(opened, gone)  the connection ended; `opened`: it had worked; `gone`: no such jam
//
// Both return {tell(message), close()}; tell says whether the message is on its way. break() ends a
// socket as a bad network does.

const HEADER_BYTES = 8;     // an audio frame begins with its first sample, a little-endian float64
const RECORD_BYTES = 5;     // a chunked record begins with its length (uint32) and kind (uint8)
const AUDIO = 1;
const UNKNOWN_JAM = 4404;

function deliver(frame, handlers) {
  const at = new DataView(frame).getFloat64(0, true);
  handlers.onAudio(at, frame.slice(HEADER_BYTES));
}

export function openSocket(url, handlers) {
  const socket = new WebSocket(url.replace(/^http/, "ws"));
  let opened = false;
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    opened = true;
    if (typeof data === "string") handlers.onEvent(JSON.parse(data));
    else deliver(data, handlers);
  };
  socket.onclose = ({ code }) => handlers.onClose(opened, code === UNKNOWN_JAM);
  return {
    tell: (message) => {
      if (socket.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
    break: () => socket.close(),
    close: () => {
      socket.onclose = socket.onmessage = null;
      socket.close();
    },
  };
}

export function openFetch(url, tellUrl, handlers) {
  const abort = new AbortController();
  read(url, abort.signal, handlers).then(
    ({ opened, gone }) => handlers.onClose(opened, gone),
    (error) => {
      if (error.name !== "AbortError") handlers.onClose(false);
    },
  );
  const tell = (message) => {
    post(tellUrl, message).catch(() => {});
    return true;
  };
  return { tell, close: () => abort.abort() };
}

async function read(url, signal, handlers) {
  const response = await fetch(url, { signal, cache: "no-store" });
  if (!response.ok) return { opened: false, gone: response.status === 404 };
  const reader = response.body.getReader();
  let rest = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { opened: true, gone: false };
    rest = records(joined(rest, value), handlers);
  }
}

// Deliver every whole record in `bytes`; returns what is left over.
function records(bytes, handlers) {
  while (bytes.length >= RECORD_BYTES) {
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    const end = RECORD_BYTES + length;
    if (bytes.length < end) break;
    const body = bytes.slice(RECORD_BYTES, end);
    if (bytes[4] === AUDIO) deliver(body.buffer, handlers);
    else handlers.onEvent(JSON.parse(new TextDecoder().decode(body)));
    bytes = bytes.subarray(end);
  }
  return bytes;
}

function joined(first, second) {
  if (!first.length) return second;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

// Browsers send no more than 64 kB of what is to survive the page: `keepalive` false is for more.
export async function post(url, message, keepalive = true) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(message),
    keepalive,
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? "The server did not answer. Is it still running?");
  return answer;
}
