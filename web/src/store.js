// What the page knows: one object, filled from the interface, kept up to date by the event stream.
import {useEffect, useState} from 'preact/hooks';
import {follow, getJson, now_us, send, whenRefused} from './api.js';

const EVENTS_MAX = 1000, EVENTS_FIRST = 400, POINTS_MAX = 4000, POINTS_FIRST = 400;
const SOON_MS = 400;
const AGAIN_MS = 1000; // after a refusal
export const QUIET = 'labelled,scheduled'; // come every few seconds for every camera
const quiet = QUIET.split(',');

export const state = {
  live: null, // null: connecting
  gone_us: 0, // since when there is no connection
  why: null, // the refusal that ended it
  session: null, health: null, groups: null, classes: null,
  cameras: new Map(), series: new Map(), events: [],
  tick: 0, // grows with every event: views that load more ask again
  theme: 0, // grows as colours change: what is painted is painted anew
};

const listeners = new Set();
export const changed = () => listeners.forEach(f => f());

// The component is drawn again whenever something changes.
export const useStore = () => {
  const [, set] = useState(0);
  useEffect(() => {
    const draw = () => set(n => n + 1);
    listeners.add(draw);
    return () => listeners.delete(draw);
  }, []);
  return state;
};

export const mayOperate = () => state.session?.role === 'operate';
export const sorted = () => [...state.cameras.values()].sort((a, b) => a.id < b.id ? -1 : 1);

// ---- cameras ----

const columns = ['t_us', 'accuracy', 'accuracy_unadapted', 'version', 'sampling_fps', 'up_kbps', 'down_kbps'];

const merge = (old, more) => {
  const out = {...more};
  if (old)
    for (const key of columns)
      out[key] = old[key].concat(more[key]).slice(-POINTS_MAX);
  const seen = new Set(old?.marks.map(m => m.version + '/' + m.t_us));
  out.marks = (old?.marks ?? []).concat(more.marks.filter(m => !seen.has(m.version + '/' + m.t_us))).slice(-500);
  return out;
};

const newest = (list, key) => list?.length ? list[list.length - 1][key] ?? 0 : 0;

// Marks carry the server's time, frames the camera's: a camera whose clock is ahead is asked twice.
const loadSeries = async id => {
  const old = state.series.get(id);
  const since = old?.t_us.length ? old.t_us[old.t_us.length - 1] : 0, marks = newest(old?.marks, 't_us');
  const more = await getJson(`v1/cameras/${id}/series?since_us=${since}${old ? '' : `&limit=${POINTS_FIRST}`}`);
  if (old && marks < since)
    more.marks = (await getJson(`v1/cameras/${id}/series?since_us=${marks}&limit=1`)).marks;
  state.series.set(id, {...merge(old, more), whole: old?.whole});
};

// All that is kept, for large charts.
export const loadWhole = async id => {
  if (state.series.get(id)?.whole)
    return;
  const whole = await getJson(`v1/cameras/${id}/series?limit=${POINTS_MAX}`).catch(() => null);
  if (whole)
    state.series.set(id, {...whole, whole: true});
  changed();
};

const loadOne = async id => {
  try {
    const camera = await getJson(`v1/cameras/${id}`);
    state.cameras.set(id, camera);
    if (camera.created_us) // otherwise no picture has come yet
      await loadSeries(id);
  } catch (e) {
    if (e.status === 404)
      state.cameras.delete(id);
    else if (e.status === 429)
      waiting.add(id);
  }
  changed();
};

// A server takes so many requests a second of one address: a large fleet is loaded a little at a time.
const LOADERS = 2, PAUSE_MS = 90;
const waiting = new Set(), loading = new Set();
let loaders = 0;

const loadCamera = async id => {
  waiting.add(id);
  if (loaders === LOADERS)
    return;
  loaders++;
  for (let next; (next = [...waiting].find(w => !loading.has(w))); ) {
    waiting.delete(next);
    loading.add(next);
    await loadOne(next);
    loading.delete(next);
    await new Promise(done => setTimeout(done, PAUSE_MS));
  }
  loaders--;
};

// ---- the rest ----

const keep = (key, path) => getJson(path).then(v => state[key] = v).catch(() => null);

let due = null; // health and groups are asked for a few times a second at most
const loadSoon = () => {
  due ??= setTimeout(async () => {
    due = null;
    await Promise.all([keep('health', 'v1/health'), keep('groups', 'v1/groups')]);
    changed();
  }, SOON_MS);
};

export const concerns = (event, id) => event.camera === id || (event.cameras ?? []).includes(id);

const onEvent = event => {
  state.tick++;
  if (!quiet.includes(event.kind) && !state.events.some(e => e.id === event.id)) {
    state.events.unshift(event);
    state.events.length = Math.min(state.events.length, EVENTS_MAX);
  }
  for (const id of event.cameras ?? (event.camera ? [event.camera] : []))
    loadCamera(id);
  loadSoon();
  changed();
};

export const loadOlder = async () => {
  const before = state.events.length ? state.events[state.events.length - 1].id : 0;
  const more = (await getJson(`v1/events?format=json&before=${before}&limit=${EVENTS_FIRST}&without=${QUIET}`)).events;
  state.events = state.events.concat(more).slice(0, EVENTS_MAX);
  changed();
  return more.length;
};

// The list of cameras as it is now; of those that `more` names (of old, new) everything is loaded.
const take = (cameras, more) => {
  const known = new Set(cameras.map(c => c.id));
  for (const id of state.cameras.keys())
    if (!known.has(id))
      state.cameras.delete(id);
  for (const camera of cameras) {
    const old = state.cameras.get(camera.id);
    state.cameras.set(camera.id, {...old, ...camera});
    if (more(old, camera))
      loadCamera(camera.id);
  }
};

const news = (old, camera) => !old || old.frame_t_us !== camera.frame_t_us || old.camera_version !== camera.camera_version;

// Not all that changes is an event: a camera that keeps its frames, say, is only heard of.
export const refresh = async () => {
  if (!state.live || document.hidden)
    return;
  await Promise.all([keep('health', 'v1/health'), getJson('v1/cameras').then(list => take(list.cameras, news)).catch(() => null)]);
  changed();
};

const begin = async () => {
  state.session = await getJson('v1/session').catch(e => {
    if (e.status === 404) // a server without users: everybody may do everything
      return {auth: false, user: null, role: 'operate'};
    throw e;
  });
  const [last, events, list] = await Promise.all([
    getJson('v1/events?format=json&before=0&limit=1'),
    getJson(`v1/events?format=json&before=0&limit=${EVENTS_FIRST}&without=${QUIET}`),
    getJson('v1/cameras'), keep('health', 'v1/health'), keep('groups', 'v1/groups')]);
  state.events = events.events;
  take(list.cameras, () => true);
  return last.events[0]?.id ?? 0;
};

const onState = (live, why) => {
  if (!live && state.live !== false)
    state.gone_us = now_us();
  state.live = live;
  state.why = why ?? null;
  state.tick++;
  changed();
};

let following = null;
export const start = () => {
  following?.abort();
  following = new AbortController();
  follow({signal: following.signal, begin, onEvent, onState});
};

whenRefused(refusal => {
  following?.abort();
  onState(false, refusal);
});

export const login = async (user, password) => {
  await send('POST', 'v1/session', {user, password});
  state.live = null;
  state.why = null;
  changed();
  start();
};

export const logout = async () => {
  await send('DELETE', 'v1/session').catch(() => null);
  location.reload();
};

// What the colours of pictures mean: asked for once, by the first view that shows some.
export const useClasses = () => {
  useEffect(() => {
    if (!state.classes)
      keep('classes', 'v1/classes').then(changed);
  }, []);
  return state.classes?.classes ?? [];
};

// What a view needs beyond that: loaded as it appears and again after events (`always`: without one, too), at most every `every_ms`.
export const useResource = (path, every_ms = 2000, always = false) => {
  const [answer, set] = useState({path: null});
  useEffect(() => {
    let over = false, timer = null, seen = -1, again_ms = every_ms;
    const load = async () => {
      timer = null;
      seen = state.tick;
      const next = await getJson(path).then(data => ({path, data}), error => ({path, error}));
      if (over)
        return;
      set(old => next.error && old.path === path && old.data ? {...old, error: next.error} : next);
      again_ms = next.error ? Math.min(AGAIN_MS, every_ms) : every_ms;
      timer = setTimeout(check, again_ms);
    };
    const check = () => {
      if (always || seen !== state.tick)
        load();
      else
        timer = setTimeout(check, again_ms);
    };
    if (path)
      load();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [path]);
  return answer.path === path ? answer : {path};
};
