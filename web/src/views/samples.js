// Frames that student and teacher see differently, the worst first.
import {useState} from 'preact/hooks';
import {sorted, useResource} from '../store.js';
import {Empty, html, Legend, Select, Trouble} from '../ui.js';
import {percent, PICTURES, when} from '../words.js';

const ALL = 6; // cameras, when all are shown

const Sample = ({camera, s}) => {
  const base = `v1/cameras/${camera.id}/frame?t_us=${s.t_us}&index=${s.index}`;
  const [gone, setGone] = useState(false);
  return !gone && html`<li class="sample" data-t=${s.t_us}><div class="title"><a href=${`#/camera/${camera.id}`} data-item>${camera.id}</a>
      <span>student and teacher agree by <b data-value="agreement">${percent(s.agreement)} %</b></span><span class="soft">version ${s.version}, ${when(s.t_us)}</span></div>
    <div class="three">${PICTURES.map(([view, word, why]) => html`<figure key=${view}><img loading="lazy" width=${camera.width} height=${camera.height} src=${`${base}&view=${view}`}
      alt=${`frame of ${camera.id}, ${word}`} onError=${() => setGone(true)}/><figcaption title=${why}>${word}</figcaption></figure>`)}</div></li>`;
};

const OfCamera = ({camera, limit}) => {
  const answer = useResource(`v1/cameras/${camera.id}/samples?limit=${limit}`, 8000), samples = answer.data?.samples ?? [];
  return html`<${Trouble} answer=${answer} what=${`What ${camera.id} sampled`}/>
    ${answer.data && samples.length === 0 && html`<p class="soft">${camera.id}: no labelled frame is kept just now.</p>`}
    <ul class="samples">${samples.map(s => html`<${Sample} key=${s.t_us + '/' + s.index} camera=${camera} s=${s}/>`)}</ul>`;
};

export const Samples = ({id}) => {
  const cameras = sorted(), one = id && cameras.find(c => c.id === id);
  const worst = [...cameras].filter(c => c.frame_t_us).sort((a, b) => (a.accuracy ?? 1) - (b.accuracy ?? 1)).slice(0, ALL);
  return html`<h1 tabindex="-1">Samples</h1>
    <p class="soft">Where students are wrong, or teachers: of each uploaded chunk that is still kept the frame on which they agree least, with the student as it was then.
      Where the teacher is the one that is wrong, more training will not help: a better teacher does.</p>
    <div class="tools"><${Select} label="camera" value=${one?.id ?? ''} onChange=${v => location.hash = v ? `#/samples/${v}` : '#/samples'}
      options=${[['', `the ${Math.min(ALL, worst.length)} worst`], ...cameras.map(c => [c.id])]}/><${Legend}/></div>
    ${cameras.length === 0 && html`<${Empty}>No camera has joined yet.<//>`}
    ${id && !one && cameras.length > 0 && html`<p class="notice" role="alert">There is no camera “${id}” here.</p>`}
    ${one ? html`<${OfCamera} key=${one.id} camera=${one} limit=${24}/>` : !id && worst.map(c => html`<${OfCamera} key=${c.id} camera=${c} limit=${3}/>`)}`;
};
