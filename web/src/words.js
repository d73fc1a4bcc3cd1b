// Numbers and states in words.
import {now_us} from './api.js';

export const percent = v => v == null ? '–' : (v * 100).toFixed(1);
export const rate = v => v == null ? '–' : v === 0 ? '0' : v < 10 ? v.toFixed(1) : Math.round(v).toString();
export const points = v => {
  const text = v == null ? '–' : Math.abs(v * 100).toFixed(1);
  return v == null || text === '0.0' ? text : (v > 0 ? '+' : '−') + text;
};
export const gainText = v => v == null ? '–' : `${points(v)} points`;
const NOISE = .005; // no gain and no loss
export const gainTone = v => v == null || Math.abs(v) < NOISE ? '' : v > 0 ? 'good' : 'warn';
export const gainOf = x => x.accuracy == null || x.accuracy_unadapted == null ? null : x.accuracy - x.accuracy_unadapted;
export const count = (n, word) => `${n} ${word}${n === 1 ? '' : 's'}`;
const NAMES = 4;
export const names = ids => ids.length > NAMES ? `${ids.slice(0, NAMES - 1).join(', ')} and ${ids.length - NAMES + 1} more` : ids.join(', ');
export const bytes = n => n == null ? '–' : n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(n < 1e4 ? 1 : 0)} kB`
  : n < 1e9 ? `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB` : `${(n / 1e9).toFixed(1)} GB`;
export const clock = us => new Date(us / 1000).toLocaleTimeString([], {hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false});
export const day = us => new Date(us / 1000).toLocaleDateString([], {year: 'numeric', month: 'short', day: 'numeric'});
export const when = us => now_us() - us < 20 * 3600e6 ? clock(us) : `${day(us)}, ${clock(us)}`;

export const span = us => {
  const s = Math.max(0, Math.round(us / 1e6));
  return s < 90 ? `${s} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
};
export const ago = us => us ? `${span(now_us() - us)} ago` : 'never';

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
const NUMBERED = ['accepted', 'rejected', 'rolled_back', 'model_kept']; // are about a version
export const kindWord = kind => KIND[kind] ?? kind.replace(/_/g, ' ');
export const kindOf = e => kindWord(e.kind) + (NUMBERED.includes(e.kind) && e.version != null ? ` v${e.version}` : '');
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
  const silent_us = now_us() - camera.seen_us, drift = camera.drift;
  if (drift?.kind === 'blind' || drift?.kind === 'dirty')
    return {tone: 'bad', word: drift.kind === 'blind' ? 'blind' : 'dirty lens', why: drift.text};
  if (camera.inference?.source || camera.stream?.reason)
    return {tone: 'bad', word: 'no picture', why: camera.inference?.source || camera.stream?.reason};
  if (camera.seen_us && silent_us > AWAY_US)
    return {tone: 'bad', word: `silent for ${span(silent_us)}`, kind: 'silent', why: `last heard of at ${when(camera.seen_us)}: is it on, and does it reach the server?`};
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

// The pictures of a frame that there are.
export const PICTURES = [['image', 'plain', 'the frame as it was sampled'], ['student', 'student', 'what the camera\'s student answers'],
  ['teacher', 'teacher', 'what the teacher at the server says']];

// What a newcomer looks up.
export const GLOSSARY = [
  ['student', 'the small network that answers every frame of a camera, and that learns'],
  ['teacher', 'a large, slow network at the server: it labels the few frames that cameras send, and students learn from these labels'],
  ['accuracy', 'how far student and teacher agree on a frame that the student has not learned from yet; mIoU for classes of pixels, F1 for boxes'],
  ['unadapted', 'the same student as its file has it; the gain is what adapting brings, in percentage points'],
  ['drift', 'what a camera sees (light, weather, traffic) is no longer what its model knows'],
  ['gate', 'lets a trained student go to the cameras only if it is better on frames that the training did not see'],
  ['version, update', 'a state of the student\'s weights, and the weights that changed since the one before'],
  ['group', 'cameras that see alike and share a model and its trainings; it has the name of the camera that it began with'],
  ['chunk', 'a few seconds of sampled frames, as a camera sends them'],
  ['profiling', 'short trial trainings that tell what a long one would bring'],
  ['micro-window', 'the slice of time that trainings are given in, group by group']];

// Where a camera infers, and which part of the frames and of the size where it is not all.
export const inference = camera => {
  const told = camera.inference, words = [camera.infers_at === 'server' ? 'at the server' : 'at the camera'];
  if (told && told.rate < 1)
    words.push(`every ${Math.round(1 / told.rate)}th frame`);
  if (told && told.resolution < 1)
    words.push(`${Math.round(told.resolution * 100)} % of the size`);
  return words.join(', ');
};
