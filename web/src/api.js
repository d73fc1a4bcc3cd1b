// The server's interface as the page needs it; docs/api.md.

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status; // 0: the server did not answer
  }
}

const SKEW_MS_MIN = 2000; // the Date of an answer has seconds only
let ahead_ms = 0; // this computer's clock, of the server's

// The server's time, by which ages are told: this computer's clock may be wrong.
export const now_us = () => (Date.now() - ahead_ms) * 1000;

const compareClocks = answer => {
  const ahead = Date.now() - Date.parse(answer.headers.get('Date')) - 500;
  ahead_ms = Math.abs(ahead) > SKEW_MS_MIN ? ahead : 0;
};

let onRefused = () => {};
// Calls f with the refusal whenever the server wants to know who asks: a session may end at any time.
export const whenRefused = f => onRefused = f;

const ask = async (path, options) => {
  let answer;
  try {
    answer = await fetch(path, {cache: 'no-store', ...options});
  } catch (e) {
    throw new Refusal(0, 'The server does not answer.');
  }
  compareClocks(answer);
  if (answer.ok)
    return answer;
  const told = await answer.json().catch(() => ({}));
  const refusal = new Refusal(answer.status, told.error || `The server answered with status ${answer.status}.`);
  if (answer.status === 401 && (options?.method ?? 'GET') === 'GET')
    onRefused(refusal);
  throw refusal;
};

export const getJson = async path => (await ask(path)).json();

// Everything that changes something says that it comes from this page (docs/api.md, sessions).
export const send = async (method, path, body) => {
  const answer = await ask(path, {
    method, headers: {'Attune-Request': '1', ...body && {'Content-Type': 'application/json'}},
    body: body && JSON.stringify(body),
  });
  return answer.status === 204 ? null : answer.json().catch(() => null);
};

const SILENCE_MS = 40000; // the server says something every 15 s
const WAIT_MS_MIN = 500, WAIT_MS_MAX = 8000;

// Whole events out of a stream of bytes.
const readEvents = async (body, alive, onEvent) => {
  const reader = body.getReader(), decoder = new TextDecoder();
  for (let rest = ''; ;) {
    const {done, value} = await reader.read();
    if (done)
      return;
    alive();
    const parts = (rest + decoder.decode(value, {stream: true})).split('\n\n');
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split('\n').filter(l => l.startsWith('data: ')).map(l => l.slice(6)).join('\n');
      if (data)
        onEvent(JSON.parse(data));
    }
  }
};

const stream = async (after, signal, onOpen, onEvent) => {
  const stop = new AbortController();
  let timer;
  signal.addEventListener('abort', () => stop.abort(), {once: true});
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(), SILENCE_MS);
  };
  alive();
  try {
    const answer = await ask(`v1/events?after=${after}`, {signal: stop.signal});
    onOpen();
    await readEvents(answer.body, alive, onEvent);
  } finally {
    clearTimeout(timer);
  }
};

// Shorter where the network comes back, or whoever looks.
const pause = wait_ms => new Promise(resolve => {
  const over = new AbortController();
  const done = () => {
    clearTimeout(timer);
    over.abort();
    resolve();
  };
  const timer = setTimeout(done, wait_ms);
  addEventListener('online', done, {signal: over.signal});
  document.addEventListener('visibilitychange', () => document.hidden || done(), {signal: over.signal});
});

// Follows the events for ever, over every break. begin() loads what there is and returns the number of the newest
// event; onState(true) as the stream opens, onState(false, why) as it breaks. Who is refused (401, 403) has to call
// again after logging in; signal ends it.
export const follow = async ({signal, begin, onEvent, onState}) => {
  for (let wait = WAIT_MS_MIN; ;) {
    try {
      const after = await begin();
      await stream(after, signal, () => {
        wait = WAIT_MS_MIN;
        onState(true);
      }, onEvent);
      onState(false, new Refusal(0, 'The server ended the connection.'));
    } catch (e) {
      if (signal.aborted)
        return;
      onState(false, e instanceof Refusal ? e : new Refusal(0, 'The connection broke off.'));
      if (e.status === 401 || e.status === 403)
        return;
    }
    await pause(wait);
    wait = Math.min(2 * wait, WAIT_MS_MAX);
  }
};
