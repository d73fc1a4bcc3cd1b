// Numbers and states in words.

export const percent = v => v == null ? '–' : (v * 100).toFixed(1);
export const rate = v => v == null ? '–' : v < 10 ? v.toFixed(1) : Math.round(v).toString();
export const points = v => v == null ? '–' : (v >= 0 ? '+' : '−') + Math.abs(v * 100).toFixed(1);
export const bytes = n => n == null ? '–' : n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(n < 1e4 ? 1 : 0)} kB`
  : n < 1e9 ? `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB` : `${(n / 1e9).toFixed(1)} GB`;
export const clock = us => new Date(us / 1000).toLocaleTimeString([], {hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false});
export const day = us => new Date(us / 1000).toLocaleDateString([], {year: 'numeric', month: 'short', day: 'numeric'});
export const when = us => Date.now() * 1000 - us < 20 * 3600e6 ? clock(us) : `${day(us)}, ${clock(us)}`;

export const span = us => {
  const s = Math.max(0, Math.round(us / 1e6));
  return s < 90 ? `${s} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
};
export const ago = us => us ? `${span(Date.now() * 1000 - us)} ago` : 'never';

export const KIND = {
  accepted: 'deployed', rejected: 'rejected', rolled_back: 'rolled back', retrain_asked: 'retraining asked',
  paused: 'paused', resumed: 'resumed', sampling_changed: 'sampling', camera_joined: 'joined', camera_back: 'back',
  worker_restarted: 'worker lost', phase_failed: 'training failed', chunk_failed: 'chunk failed',
  backlog_full: 'backlog full', server_started: 'started', stream_failed: 'stream failed',
  training_dropped: 'training dropped', chunk_untrained: 'not trained on', stream_lost: 'no picture',
  stream_back: 'picture back', grouped: 'grouping', regrouped: 'grouping', group_joined: 'joined a group',
  group_left: 'left its group', group_refused: 'stays in its group', groups_lost: 'groups lost',
  model_kept: 'model kept', trial_failed: 'trial failed', drift_request: 'its world changed',
  camera_fault: 'camera faulty', camera_well: 'camera well', scheduled: 'plan', labelled: 'labelled',
};
export const kindOf = kind => KIND[kind] ?? kind.replace(/_/g, ' ');
const BAD = ['phase_failed', 'chunk_failed', 'worker_restarted', 'backlog_full', 'camera_fault', 'stream_failed', 'stream_lost', 'trial_failed', 'groups_lost'];
const WARN = ['rejected', 'drift_request', 'rolled_back', 'paused', 'training_dropped', 'chunk_untrained'];
export const tone = kind => BAD.includes(kind) ? 'bad' : WARN.includes(kind) ? 'warn' : kind === 'accepted' ? 'good' : '';

const AWAY_US = 120e6; // not heard of for so long: shown as silent
const WORSE = 0.02; // the unadapted student may be so much better before it is said
const FALLEN = 0.5; // of its best: below that it is not well, whatever else is said

const fallen = (camera, series) => {
  const best = series ? series.accuracy.reduce((m, v) => Math.max(m, v ?? 0), 0) : 0;
  return camera.accuracy < FALLEN * best && {tone: 'warn', word: 'below its best', why: `its accuracy was ${percent(best)} % and is ${percent(camera.accuracy)} %`};
};

// A camera's health: {tone, word, why}, the worst of what is known.
export const health = (camera, series) => {
  const silent_us = Date.now() * 1000 - camera.seen_us, drift = camera.drift;
  if (drift?.kind === 'blind' || drift?.kind === 'dirty')
    return {tone: 'bad', word: drift.kind === 'blind' ? 'blind' : 'dirty lens', why: drift.text};
  if (camera.inference?.source || camera.stream?.reason)
    return {tone: 'bad', word: 'no picture', why: camera.inference?.source || camera.stream?.reason};
  if (camera.seen_us && silent_us > AWAY_US)
    return {tone: 'bad', word: `silent for ${span(silent_us)}`, why: 'the server has not heard of it for so long'};
  if (camera.paused)
    return {tone: 'warn', word: 'paused', why: 'its learning is paused; it keeps the version that it has'};
  if (drift)
    return {tone: 'warn', word: drift.kind === 'view' ? 'was moved' : 'drifting', why: drift.text};
  const open = (camera.requests ?? []).find(r => r.open);
  if (open)
    return {tone: 'warn', word: 'adapting', why: open.text};
  if (camera.inference?.uploads === false)
    return {tone: '', word: 'keeps its frames', why: 'it never uploads: how well it does is not known here'};
  if (camera.accuracy == null)
    return {tone: '', word: 'starting', why: 'no labelled frame yet'};
  if (camera.accuracy_unadapted != null && camera.accuracy < camera.accuracy_unadapted - WORSE)
    return {tone: 'warn', word: 'worse than unadapted', why: 'the student as its file has it would do better just now'};
  return fallen(camera, series) || {tone: 'good', word: 'well', why: 'frames come, labels come, its model fits'};
};

export const noPicture = camera => camera.inference?.uploads === false ? 'its frames stay at the camera'
  : camera.frame_t_us ? 'its picture comes with the next chunk' : 'no labelled frame yet';

// Where a camera infers, and which part of the frames and of the size where it is not all.
export const inference = camera => {
  const told = camera.inference, words = [camera.infers_at === 'server' ? 'at the server' : 'at the camera'];
  if (told && told.rate < 1)
    words.push(`every ${Math.round(1 / told.rate)}th frame`);
  if (told && told.resolution < 1)
    words.push(`${Math.round(told.resolution * 100)} % of the size`);
  return words.join(', ');
};
