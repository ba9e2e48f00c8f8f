// A transport carries the sound and the events of a jam: a WebSocket, or chunked HTTP where
// networks block sockets. Both call the same handlers:
//
//   onOpen()                   messages can be sent, and what the server says arrives
//   onAudio(at, pcm)           samples from absolute sample `at`: ArrayBuffer of interleaved int16
//   onEvent(event)             a JSON message from the server
//   onClose({ opened, gone })  the connection ended; `opened`: it had worked; `gone`: no such jam
//
// Both return { send(message), close() }. send returns whether the message is on its way: chunked
// HTTP goes one way only, so it never is. break() ends a socket as a bad network does.

const HEADER_BYTES = 8;     // an audio frame begins with its first sample, a little-endian float64
const RECORD_BYTES = 5;     // a chunked record begins with its length (uint32) and kind (uint8)
const AUDIO = 1;
const UNKNOWN_JAM = 4404;

export function openSocket(url, handlers) {
  const socket = new WebSocket(url.replace(/^http/, "ws"));
  let opened = false;
  socket.binaryType = "arraybuffer";
  socket.onopen = () => handlers.onOpen();
  socket.onmessage = ({ data }) => {
    opened = true;
    if (typeof data === "string") handlers.onEvent(JSON.parse(data));
    else deliverAudio(data, handlers);
  };
  socket.onclose = ({ code }) => handlers.onClose({ opened, gone: code === UNKNOWN_JAM });
  return {
    send: (message) => {
      if (socket.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
    break: () => socket.close(),
    close: () => {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
}

export function openFetch(url, handlers) {
  const abort = new AbortController();
  readStream(url, abort.signal, handlers).then(handlers.onClose, (error) => {
    if (error.name !== "AbortError") handlers.onClose({ opened: false, gone: false });
  });
  return { send: () => false, close: () => abort.abort() };
}

async function readStream(url, signal, handlers) {
  const response = await fetch(url, { signal, cache: "no-store" });
  if (!response.ok) return { opened: false, gone: response.status === 404 };
  handlers.onOpen();
  const reader = response.body.getReader();
  let rest = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { opened: true, gone: false };
    rest = deliverRecords(concatenate(rest, value), handlers);
  }
}

// Deliver every whole record in `bytes` and return the bytes that are left over.
function deliverRecords(bytes, handlers) {
  while (bytes.length >= RECORD_BYTES) {
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    const end = RECORD_BYTES + length;
    if (bytes.length < end) break;
    const body = bytes.slice(RECORD_BYTES, end);
    if (bytes[4] === AUDIO) deliverAudio(body.buffer, handlers);
    else handlers.onEvent(JSON.parse(new TextDecoder().decode(body)));
    bytes = bytes.subarray(end);
  }
  return bytes;
}

function deliverAudio(frame, handlers) {
  const at = new DataView(frame).getFloat64(0, true);
  handlers.onAudio(at, frame.slice(HEADER_BYTES));
}

function concatenate(first, second) {
  if (!first.length) return second;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
